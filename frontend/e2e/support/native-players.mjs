// Players outside the browser: Debian's ffmpeg and mpv, and a current ffmpeg.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './process.mjs';

const run = promisify(execFile);

/** Debian's ffmpeg is from 2022. Since 7.1.1 ffmpeg refuses segments whose extension does not match their content. */
const WHEEL = [
	'imageio-ffmpeg==0.8.1',
	'--hash=sha256:050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda', // x86_64
	'--hash=sha256:fad3176f859b25869e60a8ed79957d4e3ed74a97a95e5f0cdcb91455f6c6d00e', // aarch64
].join(' ');

/** The path of a current ffmpeg, which is installed from PyPI into `target/` the first time. */
export async function installCurrentFfmpeg() {
	const folder = path.join(ROOT, 'target/current-ffmpeg-0.8.1');
	const binaries = path.join(folder, 'imageio_ffmpeg/binaries');
	const find = () => existsSync(binaries) && readdirSync(binaries).find((file) => /^ffmpeg-linux/.test(file));
	if (!find()) {
		const venv = path.join(ROOT, 'target/current-ffmpeg-venv');
		const requirements = path.join(ROOT, 'target/current-ffmpeg.txt');
		writeFileSync(requirements, WHEEL);
		await run('python3', ['-m', 'venv', venv]);
		// prettier-ignore
		await run(path.join(venv, 'bin/python'), [
			'-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:',
			'--require-hashes', '--target', folder, '--requirement', requirements,
		], { timeout: 120_000 });
	}
	return path.join(binaries, find());
}

export async function probeCodecs(url) {
	const args = ['-v', 'error', '-show_entries', 'stream=codec_name', '-of', 'json', url];
	const { stdout, stderr } = await run('ffprobe', args, { timeout: 30_000 });
	assert.equal(stderr, '', 'ffprobe complains');
	return JSON.parse(stdout).streams.map((stream) => stream.codec_name);
}

/** Decodes picture and sound of at most this many seconds. Returns the decoded seconds. */
export async function decodeSeconds(ffmpeg, url, seconds) {
	// prettier-ignore
	const args = [
		'-nostdin', '-v', 'error', '-xerror', '-progress', 'pipe:1', '-i', url, '-map', '0:v', '-map', '0:a',
		'-t', String(seconds), '-f', 'null', '-',
	];
	const { stdout, stderr } = await run(ffmpeg, args, { timeout: 45_000 });
	assert.equal(stderr, '', `${ffmpeg} complains`);
	return Number([...stdout.matchAll(/out_time_us=(\d+)/g)].at(-1)?.[1] ?? 0) / 1e6;
}

/** Plays some seconds without video and audio output. Returns the positions that mpv printed and its whole output. */
export async function playWithMpv(url, seconds, options = []) {
	// prettier-ignore
	const args = [
		'--no-config', '--vo=null', '--ao=null', '--ao-null-untimed', '--untimed', `--length=${seconds}`,
		'--msg-level=all=warn,cplayer=info,statusline=status', '--term-status-msg=at ${=time-pos}', ...options, url,
	];
	const { stdout, stderr } = await run('mpv', args, { timeout: 45_000 });
	const output = stdout + stderr;
	assert.doesNotMatch(output, /error|failed|invalid|corrupt/i);
	const times = [...output.matchAll(/at (-?[\d.]+)/g)].map(([, at]) => Number(at));
	return { times, output };
}
