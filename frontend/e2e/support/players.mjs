// Players of every kind: four in a browser, six that are programs. Each says how far it is, and none is helped.
import { createServer } from 'node:http';
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { currentFfmpeg } from './clients.mjs';
import { ROOT, listen, start } from './process.mjs';

const SCRIPTS = {
	'hls.js': 'hls.js/dist/hls.js',
	Shaka: 'shaka-player/dist/shaka-player.compiled.js',
	'video.js': 'video.js/dist/video.js',
};

/** Starts one player of every kind on the same multivariant playlist. */
export async function everyPlayer(t, url, folder) {
	mkdirSync(folder, { recursive: true });
	const players = [...(await inBrowser(t, url)), ...(await programs(url, folder))];
	t.after(() => Promise.all(players.map(({ stop }) => stop?.())));
	return players;
}

/** One page each, so that an error of one is not another's. */
async function inBrowser(t, url) {
	const site = await playerPages(t);
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'],
	});
	t.after(() => browser.close());
	return Promise.all(
		[...Object.keys(SCRIPTS), "Chromium's own"].map(async (name) => {
			const page = await browser.newPage();
			await page.goto(`${site}/?${new URLSearchParams({ name, url })}`);
			return {
				name,
				position: () => page.evaluate(() => document.querySelector('video').currentTime),
				said: () => page.evaluate(() => window.said.join('; ')),
			};
		}),
	);
}

async function programs(url, folder) {
	const current = await currentFfmpeg();
	// VLC refuses to run as root: it writes as nobody.
	const isRoot = process.getuid() === 0;
	const unprivileged = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
	if (isRoot) {
		chmodSync(path.dirname(folder), 0o711);
		chmodSync(folder, 0o777);
	}
	const program = (name, command, position) => {
		const [head, ...args] = command;
		const child = start(head, args, { env: { ...process.env, HOME: '/nonexistent' } });
		const said = () =>
			child
				.said()
				.split(/[\r\n]+/)
				.filter((line) => !/^(\w+=|\W*\w?at |$)/.test(line))
				.join(' ');
		return { name, said, position: () => position(child.said()), stop: () => child.stop('SIGKILL') };
	};
	/** The last number that stands where the pattern has its group. */
	const printed =
		(pattern, unit = 1) =>
		(said) =>
			Number([...said.matchAll(pattern)].at(-1)?.[1] ?? 0) * unit;
	// In bytes: seconds are what a player shows, and these only write.
	const written = (file) => () => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
	// prettier-ignore
	const decode = (ffmpeg) => [ffmpeg, '-nostdin', '-v', 'error', '-progress', 'pipe:1', '-re', '-i', url, '-f', 'null', '-'];
	const [recorded, streamed, copied] = ['streamlink.ts', 'vlc.ts', 'ffmpeg.ts'].map((file) =>
		path.join(folder, file),
	);
	return [
		// prettier-ignore
		program('mpv', [
			'mpv', '--no-config', '--vo=null', '--ao=null', '--msg-level=all=warn,statusline=status',
			'--term-status-msg=at ${=time-pos}', url,
		], printed(/at (-?[\d.]+)/g)),
		// prettier-ignore
		program('VLC', [
			...unprivileged, 'vlc', '--intf=dummy', '--no-video', '--aout=dummy', '--verbose=0',
			`--sout=#std{access=file,mux=ts,dst=${streamed}}`, url,
		], written(streamed)),
		program("Debian's ffmpeg", decode('ffmpeg'), printed(/out_time_us=(\d+)/g, 1e-6)),
		program("today's ffmpeg", decode(current), printed(/out_time_us=(\d+)/g, 1e-6)),
		program(
			'a recording',
			['ffmpeg', '-nostdin', '-v', 'error', '-i', url, '-c', 'copy', copied],
			written(copied),
		),
		// prettier-ignore
		program('Streamlink', [
			path.join(ROOT, 'target/tools/bin/streamlink'), '--loglevel=warning', '--output', recorded, `hls://${url}`, 'best',
		], written(recorded)),
	];
}

/** A page of another origin than the stream's. */
async function playerPages(t) {
	const files = Object.fromEntries(
		Object.entries(SCRIPTS).map(([name, file]) => [
			name,
			readFileSync(path.join(ROOT, 'frontend/node_modules', file)),
		]),
	);
	const server = createServer((request, response) => {
		const { pathname, searchParams } = new URL(request.url, 'http://localhost');
		const script = files[decodeURIComponent(pathname.slice(1))];
		response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
		if (script) return response.end(script);
		const name = searchParams.get('name');
		response.end(`<!doctype html><meta charset="utf-8"><title>${name}</title><video muted autoplay width="256" height="144"></video>
			${files[name] ? `<script src="/${encodeURIComponent(name)}"></script>` : ''}<script>${inPage}\ninPage();</script>`);
	});
	const port = await listen(t, server);
	return `http://localhost:${port}`;
}

/** Runs in the page: the player as its own documentation starts it. */
function inPage() {
	const query = new URLSearchParams(location.search);
	const [name, url] = [query.get('name'), query.get('url')];
	const video = document.querySelector('video');
	window.said = [];
	const say = (what) => window.said.push(what);
	video.addEventListener('error', () => say(`video: ${video.error.message}`));
	const players = {
		'hls.js'() {
			const hls = new window.Hls();
			hls.on(window.Hls.Events.ERROR, (_, { details, fatal }) => say(`${details}${fatal ? ', fatal' : ''}`));
			hls.loadSource(url);
			hls.attachMedia(video);
		},
		async Shaka() {
			window.shaka.polyfill.installAll();
			const player = new window.shaka.Player();
			await player.attach(video);
			player.addEventListener('error', ({ detail }) => say(`${detail.code}, severity ${detail.severity}`));
			await player.load(url);
		},
		'video.js'() {
			const player = window.videojs(video, { html5: { vhs: { overrideNative: true } } });
			player.on('error', () => say(player.error().message));
			player.src({ src: url, type: 'application/x-mpegURL' });
			player.play();
		},
		"Chromium's own"() {
			video.src = url;
		},
	};
	Promise.resolve(players[name]()).catch((error) => say(String(error?.code ?? error)));
}
