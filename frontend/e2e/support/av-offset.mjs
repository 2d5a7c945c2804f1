// Measures whether the video and audio segments of one media sequence number begin at the same time.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The segments after the last discontinuity by media sequence number, each with the EXT-X-MAP that applies to it. */
function segmentsByNumber(text) {
	let number = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(text)[1]);
	let map;
	const all = new Map();
	for (const line of text.split('\n')) {
		// Segments before a discontinuity may be gone with their source.
		if (line === '#EXT-X-DISCONTINUITY') all.clear();
		if (line.startsWith('#EXT-X-MAP:')) map = /URI="([^"]+)"/.exec(line)[1];
		if (line !== '' && !line.startsWith('#')) all.set(number++, { line, map });
	}
	return all;
}

async function fetchBytes(url) {
	const answer = await fetch(url);
	if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
	return Buffer.from(await answer.arrayBuffer());
}

async function firstTimestamp(edge, { line, map }, file) {
	const parts = [map, line].filter(Boolean).map((link) => fetchBytes(edge.origin + link));
	writeFileSync(file, Buffer.concat(await Promise.all(parts)));
	const args = ['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file];
	const { stdout } = await run('ffprobe', args, { timeout: 20_000 });
	return Math.min(...stdout.trim().split('\n').map(Number.parseFloat));
}

/** The largest offset in seconds between video and audio, over the two newest segments that both playlists have. */
export async function audioVideoOffset(edge, video, audio) {
	const folder = mkdtempSync(path.join(os.tmpdir(), 'pitwall-step-'));
	try {
		const [pictures, sounds] = await Promise.all(
			[video, audio].map(async (playlist) => {
				const answer = await fetch(`${edge.origin}/live/${playlist}`);
				return segmentsByNumber(await answer.text());
			}),
		);
		const commonNumbers = [...pictures.keys()].filter((number) => sounds.has(number)).slice(-2);
		if (commonNumbers.length === 0)
			throw new Error(`no number in common: ${[...pictures.keys()]} and ${[...sounds.keys()]}`);
		const gaps = await Promise.all(
			commonNumbers.map(async (number) => {
				const picture = await firstTimestamp(edge, pictures.get(number), path.join(folder, `v${number}`));
				const sound = await firstTimestamp(edge, sounds.get(number), path.join(folder, `a${number}`));
				return Math.abs(picture - sound);
			}),
		);
		return Math.max(...gaps);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
