// HLS streams as found in the wild: Debian's ffmpeg encodes them, Debian's nginx serves them under false file types.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { startNginx } from './nginx.mjs';
import { eventually, freePort, startProcess } from './process.mjs';

const run = promisify(execFile);

/** Part of every folder and file name of an origin and of nothing else, so that a leak of a name can be found. */
export const SECRET_NAME = 'paddockvault';
export const SECRET_TOKEN = 'tk9f83kd02ms71';
export const REFERER = 'https://pitwall-member.example/watch';

/** Duration of the VOD inputs. */
export const VOD_SECONDS = 12;
const LIVE_SECONDS = 300;

// `...re` is nothing, or `-re` for inputs that are encoded in real time.
const sineInput = (frequency, ...re) => [
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
const clipInput = (...re) => [...picture('256x144', ...re), ...sineInput(330, ...re), ...ENCODE];
const HLS = ['-f', 'hls', '-hls_time', '2'];
const VOD = [...HLS, '-hls_playlist_type', 'vod'];
const LIVE = [...HLS, '-hls_list_size', '6', '-hls_flags', 'delete_segments'];
const FMP4 = ['-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `${SECRET_NAME}-init`];
const segmentNames = (name) => ['-hls_segment_filename', `${SECRET_NAME}-${name}`];
const playlist = `${SECRET_NAME}.m3u8`;
// One video, two audio languages and subtitles, each with its own media playlist.
// prettier-ignore
const multiTrackInput = (...re) => [
	...picture('256x144', ...re), ...sineInput(330, ...re), ...sineInput(550, ...re), ...re, '-i', '../cues.srt',
	'-map', '0:v', '-map', '1:a', '-map', '2:a', '-map', '3:s', ...ENCODE, '-c:s', 'webvtt',
];
// prettier-ignore
const MULTI_TRACK_OUTPUT = [
	'-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `${SECRET_NAME}-init-%v.mp4`,
	...segmentNames('%v-%d.m4s'), '-master_pl_name', playlist,
	'-var_stream_map', 'v:0,agroup:a,s:0,sgroup:s,language:en a:0,agroup:a,language:en,default:yes a:1,agroup:a,language:de',
	`${SECRET_NAME}-%v.m3u8`,
];
const writeKeyFiles = (iv) => (folder) => {
	writeFileSync(
		path.join(folder, `${SECRET_NAME}-key`),
		Buffer.from('0123456789abcdeffedcba9876543210', 'hex'),
	);
	writeFileSync(
		path.join(folder, 'key.info'),
		[
			`${SECRET_NAME}-key`,
			path.join(folder, `${SECRET_NAME}-key`),
			...(iv ? ['00112233445566778899aabbccddeeff'] : []),
		].join('\n'),
	);
};

/** The arguments of ffmpeg by input; each input has its own folder. A `live` input is encoded until the test ends. */
const INPUTS = {
	ts: { args: [...clipInput(), ...VOD, ...segmentNames('%d.jpg'), playlist] },
	fmp4: { args: [...clipInput(), ...VOD, ...FMP4, ...segmentNames('%d'), playlist] },
	aes: {
		before: writeKeyFiles(false),
		args: [...clipInput(), ...VOD, '-hls_key_info_file', 'key.info', ...segmentNames('%d.txt'), playlist],
	},
	'aes-iv': {
		before: writeKeyFiles(true),
		args: [...clipInput(), ...VOD, '-hls_key_info_file', 'key.info', ...segmentNames('%d.ts'), playlist],
	},
	'one-ts': {
		args: [...clipInput(), ...VOD, '-hls_flags', 'single_file', ...segmentNames('all.html'), playlist],
	},
	'one-mp4': {
		args: [
			...clipInput(),
			...VOD,
			'-hls_flags',
			'single_file',
			...FMP4,
			...segmentNames('all.jpg'),
			playlist,
		],
	},
	tracks: { args: [...multiTrackInput(), ...VOD, ...MULTI_TRACK_OUTPUT] },
	'live-ts': { live: true, args: [...clipInput('-re'), ...LIVE, ...segmentNames('%d.png'), playlist] },
	'live-tracks': { live: true, args: [...multiTrackInput('-re'), ...LIVE, ...MULTI_TRACK_OUTPUT] },
};

const time = (second) => new Date(second * 1000).toISOString().slice(11, 19);
const CUE_SHEET = Array.from(
	{ length: LIVE_SECONDS },
	(_, n) => `${n + 1}\n${time(n)},000 --> ${time(n)},900\ncue ${n}\n\n`,
).join('');

/** Adds the token to every URI of a playlist, as an origin with signed URLs does. */
const signLinks = (text) =>
	text
		.replace(/^[^#\s].*$/gm, (uri) => `${uri}?token=${SECRET_TOKEN}`)
		.replace(/URI="([^"]+)"/g, (_, uri) => `URI="${uri}?token=${SECRET_TOKEN}"`);

async function encodeInput(t, folder, [name, { live, before, args }]) {
	const into = path.join(folder, SECRET_NAME, name);
	mkdirSync(into, { recursive: true });
	before?.(into);
	const end = live ? LIVE_SECONDS : VOD_SECONDS;
	const all = ['-hide_banner', '-loglevel', 'error', ...args.slice(0, -1), '-t', String(end), args.at(-1)];
	if (live) {
		const ffmpeg = startProcess('ffmpeg', all, { cwd: into });
		t.after(() => ffmpeg.stop());
		return;
	}
	await run('ffmpeg', all, { cwd: into });
	for (const file of readdirSync(into).filter((file) => file.endsWith('.m3u8'))) {
		const target = path.join(into, file);
		writeFileSync(target, signLinks(readFileSync(target, 'utf8')));
	}
}

/** Encodes the same picture in two heights as fragmented MP4 with fragments of `part` seconds. */
export async function encodeFragments(folder, part, seconds) {
	const renditions = {};
	for (const [name, size, bandwidth] of [
		['low', '128x72', 300_000],
		['high', '256x144', 900_000],
	]) {
		const file = path.join(folder, `${name}.mp4`);
		// prettier-ignore
		await run('ffmpeg', [
			'-hide_banner', '-loglevel', 'error', ...picture(size), ...sineInput(330), '-t', String(seconds), ...ENCODE,
			'-movflags', '+empty_moov+default_base_moof', '-frag_duration', String(part * 1e6), '-f', 'mp4', file,
		]);
		const attributes = `BANDWIDTH=${bandwidth},RESOLUTION=${size},CODECS="avc1.42c00c,mp4a.40.2"`;
		renditions[name] = { file, attributes };
	}
	return renditions;
}

async function startOrigin(t, folder) {
	const port = await freePort();
	const log = path.join(folder, 'access.log');
	startNginx(
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
				location /${SECRET_NAME}/ { if ($arg_token != "${SECRET_TOKEN}") { return 403; } }
				location /${SECRET_NAME}/live- { if ($http_referer != "${REFERER}") { return 403; } }
				# Subtitles in disguise. ffmpeg names them .vtt whatever it is told.
				location ~ ^/${SECRET_NAME}/live-tracks/.*m3u8$ {
					if ($http_referer != "${REFERER}") { return 403; }
					sub_filter_types *; sub_filter_once off; sub_filter .vtt .html;
				}
				location ~ ^/${SECRET_NAME}/masked/(.*m3u8)$ {
					if ($arg_token != "${SECRET_TOKEN}") { return 403; }
					alias ${folder}/${SECRET_NAME}/tracks/$1;
					sub_filter_types *; sub_filter_once off; sub_filter .vtt .html;
				}
				location ~ ^/${SECRET_NAME}/live-tracks/(.*).html$ { alias ${folder}/${SECRET_NAME}/live-tracks/$1.vtt; }
				location ~ ^/${SECRET_NAME}/masked/(.*).html$ { alias ${folder}/${SECRET_NAME}/tracks/$1.vtt; }
				location ~ ^/${SECRET_NAME}/masked/(.*)$ { alias ${folder}/${SECRET_NAME}/tracks/$1; }
				location = /${SECRET_NAME}-entry { return 302 /${SECRET_NAME}/tracks/${playlist}?token=${SECRET_TOKEN}; }
			}`,
	);
	return { host: `127.0.0.1:${port}`, log };
}

/** Encodes and serves all inputs; returns the folder, the origin's host, the URL of each input, and the access log. */
export async function startConformanceInputs(t) {
	const folder = mkdtempSync(path.join(tmpdir(), 'pitwall-conformance-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	mkdirSync(path.join(folder, SECRET_NAME));
	writeFileSync(path.join(folder, SECRET_NAME, 'cues.srt'), CUE_SHEET);
	const { host, log } = await startOrigin(t, folder);
	await Promise.all(Object.entries(INPUTS).map((entry) => encodeInput(t, folder, entry)));
	const urlOf = (name) =>
		`http://${host}/${SECRET_NAME}/${name}/${playlist}${INPUTS[name].live ? '' : `?token=${SECRET_TOKEN}`}`;
	const urls = Object.fromEntries(Object.keys(INPUTS).map((name) => [name, urlOf(name)]));
	urls.redirected = `http://${host}/${SECRET_NAME}-entry`;
	urls.masked = urlOf('tracks').replace('/tracks/', '/masked/');
	for (const name of Object.keys(INPUTS)) {
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
