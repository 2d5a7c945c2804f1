// Ten players: four in a browser and six native ones. Each reports its position, and none gets help to recover.
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { installCurrentFfmpeg } from './native-players.mjs';
import { PAGE_PLAYERS, startPlayerSite } from './player-site.mjs';
import { ROOT, startProcess } from './process.mjs';

/** Starts one player of every kind on the same multivariant playlist. */
export async function startAllPlayers(t, url, folder) {
	mkdirSync(folder, { recursive: true });
	const players = [...(await startBrowserPlayers(t, url)), ...(await startProgramPlayers(url, folder))];
	t.after(() => Promise.all(players.map(({ stop }) => stop?.())));
	return players;
}

/** Each player has its own page, so that its errors do not affect the others. */
async function startBrowserPlayers(t, url) {
	const site = await startPlayerSite(t);
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'],
	});
	t.after(() => browser.close());
	return Promise.all(
		PAGE_PLAYERS.map(async (name) => {
			const page = await browser.newPage();
			await page.goto(`${site.url}/?${new URLSearchParams({ name, url })}`);
			return {
				name,
				position: () => page.evaluate(() => document.querySelector('video').currentTime),
				output: () => page.evaluate(() => window.output.join('; ')),
			};
		}),
	);
}

async function startProgramPlayers(url, folder) {
	const currentFfmpeg = await installCurrentFfmpeg();
	// VLC refuses to run as root, so it runs as nobody, who needs write access to the folder.
	const isRoot = process.getuid() === 0;
	const unprivileged = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
	if (isRoot) {
		chmodSync(path.dirname(folder), 0o711);
		chmodSync(folder, 0o777);
	}
	const startProgram = (name, command, position) => {
		const [executable, ...args] = command;
		const child = startProcess(executable, args, { env: { ...process.env, HOME: '/nonexistent' } });
		const output = () =>
			child
				.output()
				.split(/[\r\n]+/)
				.filter((line) => !/^(\w+=|\W*\w?at |$)/.test(line))
				.join(' ');
		return { name, output, position: () => position(child.output()), stop: () => child.stop('SIGKILL') };
	};
	/** The last number in the output that the pattern's group matches, times `unit`. */
	const lastPrinted =
		(pattern, unit = 1) =>
		(output) =>
			Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0) * unit;
	// Players that only write a file have their position in bytes.
	const fileSize = (file) => () => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
	// prettier-ignore
	const decode = (ffmpeg) => [ffmpeg, '-nostdin', '-v', 'error', '-progress', 'pipe:1', '-re', '-i', url, '-f', 'null', '-'];
	const [recorded, streamed, copied] = ['streamlink.ts', 'vlc.ts', 'ffmpeg.ts'].map((file) =>
		path.join(folder, file),
	);
	return [
		// prettier-ignore
		startProgram('mpv', [
			'mpv', '--no-config', '--vo=null', '--ao=null', '--msg-level=all=warn,statusline=status',
			'--term-status-msg=at ${=time-pos}', url,
		], lastPrinted(/at (-?[\d.]+)/g)),
		// prettier-ignore
		startProgram('VLC', [
			...unprivileged, 'vlc', '--intf=dummy', '--no-video', '--aout=dummy', '--verbose=0',
			`--sout=#std{access=file,mux=ts,dst=${streamed}}`, url,
		], fileSize(streamed)),
		startProgram("Debian's ffmpeg", decode('ffmpeg'), lastPrinted(/out_time_us=(\d+)/g, 1e-6)),
		startProgram("today's ffmpeg", decode(currentFfmpeg), lastPrinted(/out_time_us=(\d+)/g, 1e-6)),
		startProgram(
			'a recording',
			['ffmpeg', '-nostdin', '-v', 'error', '-i', url, '-c', 'copy', copied],
			fileSize(copied),
		),
		// prettier-ignore
		startProgram('Streamlink', [
			path.join(ROOT, 'target/tools/bin/streamlink'), '--loglevel=warning', '--output', recorded, `hls://${url}`, 'best',
		], fileSize(recorded)),
	];
}
