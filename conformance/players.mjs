// Players: each plays an address until it is stopped, and tells how many frames and seconds of sound it has decoded.
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { startProcess } from '../frontend/e2e/support/process.mjs';
import { startPlayerSite } from '../frontend/e2e/support/player-site.mjs';
import { findProgram, unprivileged } from './programs.mjs';

const SAMPLE_RATE = 8000;

/** Counts the matches of patterns in all that a process prints; `startProcess` keeps only the end of it. */
function countOutput(child, patterns) {
	const counts = patterns.map(() => 0);
	let rest = '';
	child.onOutput((chunk) => {
		const lines = (rest + chunk).split('\n');
		rest = lines.pop();
		for (const line of lines) patterns.forEach((pattern, at) => (counts[at] += pattern.test(line) ? 1 : 0));
	});
	return counts;
}

const sizeOf = (file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

/** What ffmpeg decodes becomes one byte a frame and low-rate sound in two files, whose sizes are measured. */
function decodeArguments(input, folder, frames) {
	// prettier-ignore
	return [
		'-nostdin', '-loglevel', 'error', '-re', '-i', input,
		'-map', '0:v?', ...frames, '-vf', 'scale=1:1', '-pix_fmt', 'gray', '-flush_packets', '1', '-f', 'rawvideo', `${folder}/frames`,
		'-map', '0:a?', '-ar', String(SAMPLE_RATE), '-ac', '1', '-flush_packets', '1', '-f', 's16le', `${folder}/sound`,
	];
}
const measureDecoded = (folder) => () => ({
	frames: sizeOf(`${folder}/frames`),
	sound: sizeOf(`${folder}/sound`) / (2 * SAMPLE_RATE),
});
const EVERY_FRAME = ['-fps_mode', 'passthrough'];

/** A player for each address, because a program plays only one. */
const eachAlone = (start) => (t, addresses, folder) =>
	Promise.all(
		addresses.map(async (address, at) => {
			const own = path.join(folder, String(at));
			mkdirSync(own, { recursive: true });
			chmodSync(own, 0o777);
			return start(t, address, own);
		}),
	);

function ffmpeg(name, program) {
	return {
		name,
		programs: [program],
		start: eachAlone(async (t, address, folder) => {
			const child = startProcess(await findProgram(program), decodeArguments(address, folder, EVERY_FRAME));
			t.after(() => child.stop('SIGKILL'));
			return { measure: measureDecoded(folder), output: child.output };
		}),
	};
}

const streamlink = {
	name: 'Streamlink',
	programs: ['streamlink'],
	start: eachAlone(async (t, address, folder) => {
		const decode = decodeArguments('INPUT', folder, EVERY_FRAME).join(' ').replace('INPUT', '{playerinput}');
		const child = startProcess(await findProgram('streamlink'), [
			'--loglevel=warning',
			'--player=/usr/bin/ffmpeg',
			`--player-args=${decode}`,
			`hls://${address}`,
			'best',
		]);
		t.after(() => child.stop('SIGINT'));
		return { measure: measureDecoded(folder), output: child.output };
	}),
};

const mpv = {
	name: 'mpv',
	programs: ['mpv'],
	start: eachAlone(async (t, address) => {
		const child = startProcess('mpv', [
			'--no-config',
			'--vo=null',
			'--ao=null',
			'--no-input-terminal',
			'--msg-level=all=warn,ffmpeg=v',
			'--vf=lavfi=[showinfo]',
			'--af=lavfi=[aresample=8000,asetnsamples=n=800,ashowinfo]',
			address,
		]);
		t.after(() => child.stop('SIGKILL'));
		const counts = countOutput(child, [/Parsed_showinfo\S* n:/, /Parsed_ashowinfo\S* n:/]);
		return {
			measure: () => ({ frames: counts[0], sound: counts[1] / 10 }),
			output: withoutFrames(child),
		};
	}),
};

/** The output without what is printed for each frame. */
const withoutFrames = (child) => () =>
	child
		.output()
		.split('\n')
		.filter((line) => line && !/showinfo|last-message|^\W*$/.test(line))
		.join('; ');

const vlc = {
	name: 'VLC',
	programs: ['vlc'],
	start: eachAlone(async (t, address, folder) => {
		const socket = path.join(folder, 'control');
		const [command, ...args] = unprivileged([
			'vlc',
			'--intf=dummy',
			'--extraintf=oldrc',
			'--rc-fake-tty',
			`--rc-unix=${socket}`,
			'--vout=dummy',
			'--aout=dummy',
			'--verbose=0',
			address,
		]);
		const child = startProcess(command, args, {
			env: { ...process.env, HOME: '/nonexistent' },
		});
		t.after(() => child.stop('SIGKILL'));
		let last = { frames: 0, sound: 0 };
		return {
			/** VLC counts buffers of sound; of AAC each has 1024 samples. */
			async measure() {
				const answer = await ask(socket, 'stats\n').catch(() => '');
				const counted = (label) => Number(new RegExp(`${label}\\s*:\\s*(\\d+)`).exec(answer)?.[1] ?? NaN);
				const [frames, blocks] = [counted('frames displayed'), counted('buffers played')];
				if (!Number.isNaN(frames)) last = { frames, sound: (blocks * 1024) / 48_000 };
				return last;
			},
			output: child.output,
		};
	}),
};

/** Sends a command to a socket; resolves to what is answered within a short time. */
const ask = (socket, command) =>
	new Promise((resolve, reject) => {
		let answer = '';
		const client = connect(socket, () => client.write(command));
		client.on('data', (chunk) => (answer += chunk)).on('error', reject);
		client.setTimeout(300, () => client.destroy());
		client.on('close', () => resolve(answer));
	});

function gstreamer(name, element) {
	return {
		name,
		programs: ['gst-launch-1.0'],
		start: eachAlone(async (t, address) => {
			const child = startProcess('gst-launch-1.0', [
				'-v',
				element,
				`uri=${address}`,
				'video-sink=fakesink name=picture silent=false sync=true',
				'audio-sink=audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=8000,channels=1 ! fakesink name=sound silent=false sync=true',
			]);
			t.after(() => child.stop('SIGKILL'));
			let seconds = 0;
			child.onOutput((chunk) => {
				for (const [, bytes] of chunk.matchAll(/\(sound:sink\) \((\d+) bytes/g))
					seconds += bytes / (2 * SAMPLE_RATE);
			});
			const counts = countOutput(child, [/chain\b.*\(picture:sink\)/]);
			return {
				measure: () => ({ frames: counts[0], sound: seconds }),
				output: withoutFrames(child),
			};
		}),
	};
}

const nothing = { frames: 0, sound: 0, output: '' };

/** A browser that shows pages of one player, one for each address, and gets no help to recover. */
function inBrowser(browser, player) {
	return {
		name: player === OWN ? `${browser.name}'s own` : `${player} in ${browser.name}`,
		programs: browser.programs,
		async start(t, addresses, folder) {
			mkdirSync(folder, { recursive: true });
			const site = await startPlayerSite(t);
			const wall = addresses.map((url, at) => [
				'address',
				`/?${new URLSearchParams({ name: player, url, report: String(at) })}`,
			]);
			const child = await browser.start(t, `${site.url}/wall?${new URLSearchParams(wall)}`, folder);
			return addresses.map((_, at) => {
				const report = () => site.reports.get(String(at)) ?? nothing;
				return {
					measure: report,
					output: () => report().output || child.output().slice(-300),
				};
			});
		},
	};
}
const OWN = "the browser's own";

const chromium = {
	name: 'Chromium',
	programs: ['chromium'],
	async start(t, url, folder) {
		const child = startProcess('chromium', [
			'--headless=new',
			'--no-sandbox',
			'--disable-gpu',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--autoplay-policy=no-user-gesture-required',
			`--user-data-dir=${folder}/profile`,
			url,
		]);
		t.after(() => child.stop());
		return child;
	},
};

const FIREFOX_PREFERENCES = {
	'media.autoplay.default': 0,
	'media.autoplay.blocking_policy': 0,
	'app.update.enabled': false,
	'browser.shell.checkDefaultBrowser': false,
	'datareporting.policy.dataSubmissionEnabled': false,
	'toolkit.telemetry.reportingpolicy.firstRun': false,
	'network.captive-portal-service.enabled': false,
	'network.connectivity-service.enabled': false,
	'browser.safebrowsing.downloads.remote.enabled': false,
	'media.gmp-manager.updateEnabled': false,
	'extensions.update.enabled': false,
};
const firefox = {
	name: 'Firefox',
	programs: ['firefox-esr'],
	async start(t, url, folder) {
		const profile = path.join(folder, 'profile');
		mkdirSync(profile);
		writeFileSync(
			path.join(profile, 'user.js'),
			Object.entries(FIREFOX_PREFERENCES)
				.map(([name, value]) => `user_pref("${name}", ${value});\n`)
				.join(''),
		);
		const child = startProcess('firefox-esr', ['--headless', '--no-remote', '--profile', profile, url], {
			env: { ...process.env, HOME: folder },
		});
		t.after(() => child.stop());
		return child;
	},
};

const webkit = {
	name: 'WebKitGTK',
	programs: ['MiniBrowser', 'Xvfb'],
	async start(t, url, folder) {
		const display = startProcess('Xvfb', [
			'-displayfd',
			'1',
			'-screen',
			'0',
			'1024x768x24',
			'-nolisten',
			'tcp',
		]);
		t.after(() => display.stop());
		const number = (await display.untilOutput(/^\d+$/m)).match(/^(\d+)$/m)[1];
		const child = startProcess(
			await findProgram('MiniBrowser'),
			['--private', '--autoplay-policy=allow', '--geometry=1000x700', url],
			{
				env: {
					...process.env,
					HOME: folder,
					DISPLAY: `:${number}`,
					GDK_BACKEND: 'x11',
					NO_AT_BRIDGE: '1',
				},
			},
		);
		t.after(() => child.stop());
		return child;
	},
};

export const PLAYERS = [
	inBrowser(chromium, 'hls.js'),
	inBrowser(chromium, 'Shaka'),
	inBrowser(chromium, 'video.js'),
	inBrowser(chromium, OWN),
	inBrowser(firefox, 'hls.js'),
	inBrowser(firefox, 'Shaka'),
	inBrowser(webkit, 'hls.js'),
	ffmpeg('ffmpeg 5.1', 'ffmpeg'),
	ffmpeg('ffmpeg 8.1', 'ffmpeg-8.1'),
	ffmpeg('ffmpeg 9.0', 'ffmpeg-9.0'),
	mpv,
	vlc,
	gstreamer('GStreamer playbin3', 'playbin3'),
	gstreamer('GStreamer playbin', 'playbin'),
	streamlink,
];
