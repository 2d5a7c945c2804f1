// An origin of low-latency HLS, which ffmpeg cannot produce: fragmented MP4 that was encoded beforehand is published
// part by part in real time.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { listen } from './process.mjs';

/** Duration of a part, as in the files that `encodeFragments` makes; every second part begins with a keyframe. */
export const PART_SECONDS = 0.5;
const PARTS_PER_SEGMENT = 4;
const SEGMENT_SECONDS = PART_SECONDS * PARTS_PER_SEGMENT;
const PLAYLIST_SEGMENTS = 10;
const CAN_SKIP_UNTIL_SECONDS = 6 * SEGMENT_SECONDS;
/** Seconds of media that are published already when the origin starts. */
const PREPUBLISHED_SECONDS = 8 * SEGMENT_SECONDS;

/** Cuts a fragmented MP4 into its initialisation section and its `moof`+`mdat` pairs. */
function fragments(file) {
	const bytes = readFileSync(file);
	const initBoxes = [];
	const parts = [];
	for (let at = 0; at + 8 <= bytes.length;) {
		const size = bytes.readUInt32BE(at);
		const boxType = bytes.toString('latin1', at + 4, at + 8);
		const box = bytes.subarray(at, at + size);
		if (boxType === 'moof') parts.push([box]);
		else if (boxType === 'mdat') parts.at(-1).push(box);
		else if (boxType === 'ftyp' || boxType === 'moov') initBoxes.push(box);
		at += size;
	}
	return { init: Buffer.concat(initBoxes), parts: parts.map((pair) => Buffer.concat(pair)) };
}

/**
 * `renditions` maps a name to a file and the attributes of its EXT-X-STREAM-INF. All paths begin with `/{folder}/`,
 * all file names with `namePrefix`, and requests without the token in `?token=` get 403.
 */
export async function lowLatencyOrigin(t, { renditions, folder, namePrefix, token }) {
	const media = new Map(Object.entries(renditions).map(([name, { file }]) => [name, fragments(file)]));
	const started = Date.now() - PREPUBLISHED_SECONDS * 1000;
	const length = Math.min(...[...media.values()].map(({ parts }) => parts.length));
	const publishedParts = () => Math.min(length, Math.floor((Date.now() - started) / (PART_SECONDS * 1000)));
	const publishedAt = (part) => started + (part + 1) * PART_SECONDS * 1000;
	const link = (name) => `${name}?token=${token}`;
	const requests = [];

	function multivariantPlaylist() {
		const variants = Object.entries(renditions).map(
			([name, { attributes }]) => `#EXT-X-STREAM-INF:${attributes}\n${link(`${name}/${namePrefix}.m3u8`)}\n`,
		);
		return `#EXTM3U\n#EXT-X-VERSION:9\n${variants.join('')}`;
	}

	function mediaPlaylist(name, skip) {
		const count = publishedParts();
		const complete = Math.floor(count / PARTS_PER_SEGMENT);
		const first = Math.max(0, complete - PLAYLIST_SEGMENTS);
		const liveEdgeSeconds = count * PART_SECONDS;
		// Segments that end before the skip boundary are left out of a delta update.
		const skipped = skip
			? Math.max(0, Math.floor((liveEdgeSeconds - CAN_SKIP_UNTIL_SECONDS) / SEGMENT_SECONDS) - first)
			: 0;
		const lines = [
			'#EXTM3U',
			'#EXT-X-VERSION:9',
			`#EXT-X-TARGETDURATION:${SEGMENT_SECONDS}`,
			`#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${PART_SECONDS * 3},CAN-SKIP-UNTIL=${CAN_SKIP_UNTIL_SECONDS}`,
			`#EXT-X-PART-INF:PART-TARGET=${PART_SECONDS}`,
			`#EXT-X-MEDIA-SEQUENCE:${first}`,
			`#EXT-X-MAP:URI="${link(`${namePrefix}-init.mp4`)}"`,
		];
		if (skipped > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`);
		for (let n = first + skipped; n <= complete; n++) {
			lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(started + n * SEGMENT_SECONDS * 1000).toISOString()}`);
			for (
				let part = 0;
				part < PARTS_PER_SEGMENT && n * PARTS_PER_SEGMENT + part < count && n > complete - 3;
				part++
			) {
				const independent = part % 2 === 0 ? ',INDEPENDENT=YES' : '';
				lines.push(
					`#EXT-X-PART:DURATION=${PART_SECONDS},URI="${link(`${namePrefix}-${n}.${part}.m4s`)}"${independent}`,
				);
			}
			if (n < complete) lines.push(`#EXTINF:${SEGMENT_SECONDS.toFixed(3)},`, link(`${namePrefix}-${n}.m4s`));
		}
		lines.push(
			`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${link(`${namePrefix}-${complete}.${count % PARTS_PER_SEGMENT}.m4s`)}"`,
		);
		for (const other of media.keys()) {
			if (other === name) continue;
			const last = count - 1;
			lines.push(
				`#EXT-X-RENDITION-REPORT:URI="../${link(`${other}/${namePrefix}.m3u8`)}",` +
					`LAST-MSN=${Math.floor(last / PARTS_PER_SEGMENT)},LAST-PART=${last % PARTS_PER_SEGMENT}`,
			);
		}
		return `${lines.join('\n')}\n`;
	}

	/** Waits until a part is published; resolves to false at once if the part is too far in the future. */
	async function waitForPart(part, signal) {
		if (part >= publishedParts() + 2 * PARTS_PER_SEGMENT || part >= length) return false;
		// A timer may fire slightly early, when the part is not published yet: then the wait is repeated.
		for (let left; (left = publishedAt(part) - Date.now()) > 0;) await delay(left, undefined, { signal });
		return true;
	}

	async function respond(url, signal) {
		if (url.searchParams.get('token') !== token) return [403, 'text/html', '<h1>Forbidden</h1>'];
		const [, root, name, file] = url.pathname.split('/');
		if (root !== folder) return [404, 'text/html', '<h1>Not found</h1>'];
		if (name === `${namePrefix}.m3u8`) return [200, 'application/vnd.apple.mpegurl', multivariantPlaylist()];
		const rendition = media.get(name);
		if (!rendition || !file?.startsWith(namePrefix)) return [404, 'text/html', '<h1>Not found</h1>'];
		if (file === `${namePrefix}.m3u8`) {
			const msn = url.searchParams.get('_HLS_msn');
			if (msn !== null) {
				const part = url.searchParams.get('_HLS_part');
				// Without _HLS_part the response waits for the whole segment.
				const wanted =
					Number(msn) * PARTS_PER_SEGMENT + (part === null ? PARTS_PER_SEGMENT - 1 : Number(part));
				if (!(await waitForPart(wanted, signal))) return [400, 'text/html', '<h1>Too far</h1>'];
			}
			const skip = url.searchParams.get('_HLS_skip') === 'YES';
			return [200, 'application/vnd.apple.mpegurl', mediaPlaylist(name, skip)];
		}
		if (file === `${namePrefix}-init.mp4`) return [200, 'video/mp4', rendition.init];
		const [, n, part] = file.slice(namePrefix.length).match(/^-(\d+)(?:\.(\d))?\.m4s$/) ?? [];
		const begin = Number(n) * PARTS_PER_SEGMENT + Number(part ?? 0);
		const end = part === undefined ? begin + PARTS_PER_SEGMENT : begin + 1;
		if (!(await waitForPart(end - 1, signal))) return [404, 'text/html', '<h1>Not found</h1>'];
		return [200, 'video/mp4', Buffer.concat(rendition.parts.slice(begin, end))];
	}

	const server = createServer(async (request, response) => {
		const url = new URL(request.url, 'http://origin');
		requests.push({ path: url.pathname, query: url.search, agent: request.headers['user-agent'] });
		const disconnected = new AbortController();
		response.on('close', () => disconnected.abort());
		try {
			const [status, type, body] = await respond(url, disconnected.signal);
			response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
			response.end(body);
		} catch {
			response.destroy();
		}
	});
	const port = await listen(t, server);
	return {
		host: `127.0.0.1:${port}`,
		url: `http://127.0.0.1:${port}/${folder}/${link(`${namePrefix}.m3u8`)}`,
		requests,
	};
}
