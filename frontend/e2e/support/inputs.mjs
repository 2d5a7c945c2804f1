// HLS as the world serves it: Debian's ffmpeg makes it, Debian's nginx serves it in disguise.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { nginx } from './nginx.mjs';
import { eventually, freePort, start } from './process.mjs';

const run = promisify(execFile);

/** In every folder and file name of an origin, and nowhere else. */
export const STEM = 'paddockvault';
export const TOKEN = 'tk9f83kd02ms71';
export const REFERER = 'https://pitwall-member.example/watch';

/** How long the inputs that have an end are. */
export const SECONDS = 12;
const CUES = 300;

// `...re` is nothing, or `-re` for what is made in real time.
const sine = (frequency, ...re) => [
	...re,
	'-f',
	'lavfi',
	'-i',
	`sine=frequency=${frequency}:sample_rate=48000`,
];
const picture = (size, ...re) => [...re, '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=24`];
// prettier-ignore
const ENCODE = [
	'-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '24', '-keyint_min', '24',
	'-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '48k',
];
const clip = (...re) => [...picture('256x144', ...re), ...sine(330, ...re), ...ENCODE];
const HLS = ['-f', 'hls', '-hls_time', '2'];
const VOD = [...HLS, '-hls_playlist_type', 'vod'];
const LIVE = [...HLS, '-hls_list_size', '6', '-hls_flags', 'delete_segments'];
const FMP4 = ['-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `${STEM}-init`];
const named = (name) => ['-hls_segment_filename', `${STEM}-${name}`];
const playlist = `${STEM}.m3u8`;
// One picture, two languages, subtitles: each a playlist of its own.
// prettier-ignore
const tracks = (...re) => [
	...picture('256x144', ...re), ...sine(330, ...re), ...sine(550, ...re), ...re, '-i', '../cues.srt',
	'-map', '0:v', '-map', '1:a', '-map', '2:a', '-map', '3:s', ...ENCODE, '-c:s', 'webvtt',
];
// prettier-ignore
const TRACKS_OUT = [
	'-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `${STEM}-init-%v.mp4`,
	...named('%v-%d.m4s'), '-master_pl_name', playlist,
	'-var_stream_map', 'v:0,agroup:a,s:0,sgroup:s,language:en a:0,agroup:a,language:en,default:yes a:1,agroup:a,language:de',
	`${STEM}-%v.m3u8`,
];
const encrypted = (iv) => (folder) => {
	writeFileSync(path.join(folder, `${STEM}-key`), Buffer.from('0123456789abcdeffedcba9876543210', 'hex'));
	writeFileSync(
		path.join(folder, 'key.info'),
		[
			`${STEM}-key`,
			path.join(folder, `${STEM}-key`),
			...(iv ? ['00112233445566778899aabbccddeeff'] : []),
		].join('\n'),
	);
};

/** What ffmpeg is asked for, each in a folder of its own. `live` goes on until the test ends. */
const MADE = {
	ts: { args: [...clip(), ...VOD, ...named('%d.jpg'), playlist] },
	fmp4: { args: [...clip(), ...VOD, ...FMP4, ...named('%d'), playlist] },
	aes: {
		before: encrypted(false),
		args: [...clip(), ...VOD, '-hls_key_info_file', 'key.info', ...named('%d.txt'), playlist],
	},
	'aes-iv': {
		before: encrypted(true),
		args: [...clip(), ...VOD, '-hls_key_info_file', 'key.info', ...named('%d.ts'), playlist],
	},
	'one-ts': { args: [...clip(), ...VOD, '-hls_flags', 'single_file', ...named('all.html'), playlist] },
	'one-mp4': {
		args: [...clip(), ...VOD, '-hls_flags', 'single_file', ...FMP4, ...named('all.jpg'), playlist],
	},
	tracks: { args: [...tracks(), ...VOD, ...TRACKS_OUT] },
	'live-ts': { live: true, args: [...clip('-re'), ...LIVE, ...named('%d.png'), playlist] },
	'live-tracks': { live: true, args: [...tracks('-re'), ...LIVE, ...TRACKS_OUT] },
};

const time = (second) => new Date(second * 1000).toISOString().slice(11, 19);
const CUE_SHEET = Array.from(
	{ length: CUES },
	(_, n) => `${n + 1}\n${time(n)},000 --> ${time(n)},900\ncue ${n}\n\n`,
).join('');

/** Puts the token into every link, as an origin with signed links does. */
const signed = (text) =>
	text
		.replace(/^[^#\s].*$/gm, (uri) => `${uri}?token=${TOKEN}`)
		.replace(/URI="([^"]+)"/g, (_, uri) => `URI="${uri}?token=${TOKEN}"`);

async function make(t, folder, [name, { live, before, args }]) {
	const into = path.join(folder, STEM, name);
	mkdirSync(into, { recursive: true });
	before?.(into);
	const end = live ? CUES : SECONDS;
	const all = ['-hide_banner', '-loglevel', 'error', ...args.slice(0, -1), '-t', String(end), args.at(-1)];
	if (live) {
		const ffmpeg = start('ffmpeg', all, { cwd: into });
		t.after(() => ffmpeg.stop());
		return;
	}
	await run('ffmpeg', all, { cwd: into });
	for (const file of readdirSync(into).filter((file) => file.endsWith('.m3u8'))) {
		const at = path.join(into, file);
		writeFileSync(at, signed(readFileSync(at, 'utf8')));
	}
}

/** Two heights of the same picture, in fragments of `part` seconds. */
export async function fragmented(folder, part, seconds) {
	const renditions = {};
	for (const [name, size, bandwidth] of [
		['low', '128x72', 300_000],
		['high', '256x144', 900_000],
	]) {
		const file = path.join(folder, `${name}.mp4`);
		// prettier-ignore
		await run('ffmpeg', [
			'-hide_banner', '-loglevel', 'error', ...picture(size), ...sine(330), '-t', String(seconds), ...ENCODE,
			'-movflags', '+empty_moov+default_base_moof', '-frag_duration', String(part * 1e6), '-f', 'mp4', file,
		]);
		const attributes = `BANDWIDTH=${bandwidth},RESOLUTION=${size},CODECS="avc1.42c00c,mp4a.40.2"`;
		renditions[name] = { file, attributes };
	}
	return renditions;
}

async function origin(t, folder) {
	const port = await freePort();
	const log = path.join(folder, 'access.log');
	nginx(
		t,
		folder,
		`log_format seen '$uri|$http_user_agent|$http_referer|$sent_http_content_encoding|$status';
			access_log ${log} seen;
			types { application/vnd.apple.mpegurl m3u8; image/jpeg jpg; image/png png; text/plain txt; }
			default_type text/html;
			gzip on; gzip_min_length 20; gzip_types application/vnd.apple.mpegurl; gzip_proxied any;
			absolute_redirect off;
			server {
				listen 127.0.0.1:${port}; root ${folder};
				location /${STEM}/ { if ($arg_token != "${TOKEN}") { return 403; } }
				location /${STEM}/live- { if ($http_referer != "${REFERER}") { return 403; } }
				# Subtitles in disguise. ffmpeg names them .vtt whatever it is told.
				location ~ ^/${STEM}/live-tracks/.*m3u8$ {
					if ($http_referer != "${REFERER}") { return 403; }
					sub_filter_types *; sub_filter_once off; sub_filter .vtt .html;
				}
				location ~ ^/${STEM}/masked/(.*m3u8)$ {
					if ($arg_token != "${TOKEN}") { return 403; }
					alias ${folder}/${STEM}/tracks/$1;
					sub_filter_types *; sub_filter_once off; sub_filter .vtt .html;
				}
				location ~ ^/${STEM}/live-tracks/(.*).html$ { alias ${folder}/${STEM}/live-tracks/$1.vtt; }
				location ~ ^/${STEM}/masked/(.*).html$ { alias ${folder}/${STEM}/tracks/$1.vtt; }
				location ~ ^/${STEM}/masked/(.*)$ { alias ${folder}/${STEM}/tracks/$1; }
				location = /${STEM}-entry { return 302 /${STEM}/tracks/${playlist}?token=${TOKEN}; }
			}`,
	);
	return { host: `127.0.0.1:${port}`, log };
}

/** A temporary folder, what is served of it, and the URL of each input. */
export async function inputs(t) {
	const folder = mkdtempSync(path.join(tmpdir(), 'pitwall-conformance-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	mkdirSync(path.join(folder, STEM));
	writeFileSync(path.join(folder, STEM, 'cues.srt'), CUE_SHEET);
	const { host, log } = await origin(t, folder);
	await Promise.all(Object.entries(MADE).map((entry) => make(t, folder, entry)));
	const at = (name) =>
		`http://${host}/${STEM}/${name}/${playlist}${MADE[name].live ? '' : `?token=${TOKEN}`}`;
	const urls = Object.fromEntries(Object.keys(MADE).map((name) => [name, at(name)]));
	urls.redirected = `http://${host}/${STEM}-entry`;
	urls.masked = at('tracks').replace('/tracks/', '/masked/');
	for (const name of Object.keys(MADE)) {
		await eventually(async () => {
			const answer = await fetch(urls[name], { headers: { referer: REFERER } });
			return answer.ok && (await answer.text()).startsWith('#EXTM3U');
		}, `${name} at its origin`);
	}
	const requests = () =>
		readFileSync(log, 'utf8')
			.trimEnd()
			.split('\n')
			.map((line) => {
				const [uri, agent, referer, encoding, status] = line.split('|');
				return { uri, agent, referer, encoding, status: Number(status) };
			});
	return { folder, host, urls, requests };
}
