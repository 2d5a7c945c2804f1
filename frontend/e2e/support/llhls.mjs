// An origin of low-latency HLS, which ffmpeg plays but does not write: fragmented MP4 made beforehand, published
// part by part as the clock goes on.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { listen } from './process.mjs';

/** What `fragments()` files hold: `-frag_duration` of a part, a keyframe in every second one. */
export const PART = 0.5;
const PARTS = 4;
const TARGET = PART * PARTS;
const WINDOW = 10;
const CAN_SKIP_UNTIL = 6 * TARGET;
/** What was published before anybody came. */
const PAST = 8 * TARGET;

/** Cuts a fragmented MP4 into its initialisation and its `moof`+`mdat` pairs. */
function fragments(file) {
	const bytes = readFileSync(file);
	const head = [];
	const parts = [];
	for (let at = 0; at + 8 <= bytes.length;) {
		const size = bytes.readUInt32BE(at);
		const kind = bytes.toString('latin1', at + 4, at + 8);
		const box = bytes.subarray(at, at + size);
		if (kind === 'moof') parts.push([box]);
		else if (kind === 'mdat') parts.at(-1).push(box);
		else if (kind === 'ftyp' || kind === 'moov') head.push(box);
		at += size;
	}
	return { init: Buffer.concat(head), parts: parts.map((pair) => Buffer.concat(pair)) };
}

/**
 * `renditions` maps a name to a file and the attributes of its STREAM-INF. Everything lies under `/{folder}/`,
 * file names begin with `stem`, and nothing is given without `?token=`.
 */
export async function lowLatencyOrigin(t, { renditions, folder, stem, token }) {
	const media = new Map(Object.entries(renditions).map(([name, { file }]) => [name, fragments(file)]));
	const started = Date.now() - PAST * 1000;
	const length = Math.min(...[...media.values()].map(({ parts }) => parts.length));
	const published = () => Math.min(length, Math.floor((Date.now() - started) / (PART * 1000)));
	const at = (part) => started + (part + 1) * PART * 1000;
	const link = (name) => `${name}?token=${token}`;
	const requests = [];

	function master() {
		const variants = Object.entries(renditions).map(
			([name, { attributes }]) => `#EXT-X-STREAM-INF:${attributes}\n${link(`${name}/${stem}.m3u8`)}\n`,
		);
		return `#EXTM3U\n#EXT-X-VERSION:9\n${variants.join('')}`;
	}

	function playlist(name, skip) {
		const count = published();
		const complete = Math.floor(count / PARTS);
		const first = Math.max(0, complete - WINDOW);
		const edge = count * PART;
		const skipped = skip
			? Math.max(0, Math.floor((edge - CAN_SKIP_UNTIL) / TARGET) - first) // those that end before it
			: 0;
		const lines = [
			'#EXTM3U',
			'#EXT-X-VERSION:9',
			`#EXT-X-TARGETDURATION:${TARGET}`,
			`#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${PART * 3},CAN-SKIP-UNTIL=${CAN_SKIP_UNTIL}`,
			`#EXT-X-PART-INF:PART-TARGET=${PART}`,
			`#EXT-X-MEDIA-SEQUENCE:${first}`,
			`#EXT-X-MAP:URI="${link(`${stem}-init.mp4`)}"`,
		];
		if (skipped > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`);
		for (let n = first + skipped; n <= complete; n++) {
			lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(started + n * TARGET * 1000).toISOString()}`);
			for (let part = 0; part < PARTS && n * PARTS + part < count && n > complete - 3; part++) {
				const independent = part % 2 === 0 ? ',INDEPENDENT=YES' : '';
				lines.push(`#EXT-X-PART:DURATION=${PART},URI="${link(`${stem}-${n}.${part}.m4s`)}"${independent}`);
			}
			if (n < complete) lines.push(`#EXTINF:${TARGET.toFixed(3)},`, link(`${stem}-${n}.m4s`));
		}
		lines.push(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${link(`${stem}-${complete}.${count % PARTS}.m4s`)}"`);
		for (const other of media.keys()) {
			if (other === name) continue;
			const last = count - 1;
			lines.push(
				`#EXT-X-RENDITION-REPORT:URI="../${link(`${other}/${stem}.m3u8`)}",` +
					`LAST-MSN=${Math.floor(last / PARTS)},LAST-PART=${last % PARTS}`,
			);
		}
		return `${lines.join('\n')}\n`;
	}

	/** Waits for what is about to be; refuses what is too far away. */
	async function until(part, signal) {
		if (part >= published() + 2 * PARTS || part >= length) return false;
		// More than once: a timer may be a moment early, and then the part is not there yet.
		for (let left; (left = at(part) - Date.now()) > 0;) await delay(left, undefined, { signal });
		return true;
	}

	async function answer(url, signal) {
		if (url.searchParams.get('token') !== token) return [403, 'text/html', '<h1>Forbidden</h1>'];
		const [, root, name, file] = url.pathname.split('/');
		if (root !== folder) return [404, 'text/html', '<h1>Not found</h1>'];
		if (name === `${stem}.m3u8`) return [200, 'application/vnd.apple.mpegurl', master()];
		const rendition = media.get(name);
		if (!rendition || !file?.startsWith(stem)) return [404, 'text/html', '<h1>Not found</h1>'];
		if (file === `${stem}.m3u8`) {
			const msn = url.searchParams.get('_HLS_msn');
			if (msn !== null) {
				const part = url.searchParams.get('_HLS_part');
				// Without a part it is the whole segment that is waited for.
				const wanted = Number(msn) * PARTS + (part === null ? PARTS - 1 : Number(part));
				if (!(await until(wanted, signal))) return [400, 'text/html', '<h1>Too far</h1>'];
			}
			const skip = url.searchParams.get('_HLS_skip') === 'YES';
			return [200, 'application/vnd.apple.mpegurl', playlist(name, skip)];
		}
		if (file === `${stem}-init.mp4`) return [200, 'video/mp4', rendition.init];
		const [, n, part] = file.slice(stem.length).match(/^-(\d+)(?:\.(\d))?\.m4s$/) ?? [];
		const begin = Number(n) * PARTS + Number(part ?? 0);
		const end = part === undefined ? begin + PARTS : begin + 1;
		if (!(await until(end - 1, signal))) return [404, 'text/html', '<h1>Not found</h1>'];
		return [200, 'video/mp4', Buffer.concat(rendition.parts.slice(begin, end))];
	}

	const server = createServer(async (request, response) => {
		const url = new URL(request.url, 'http://origin');
		requests.push({ path: url.pathname, query: url.search, agent: request.headers['user-agent'] });
		const gone = new AbortController();
		response.on('close', () => gone.abort());
		try {
			const [status, type, body] = await answer(url, gone.signal);
			response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
			response.end(body);
		} catch {
			response.destroy();
		}
	});
	const port = await listen(t, server);
	return {
		host: `127.0.0.1:${port}`,
		url: `http://127.0.0.1:${port}/${folder}/${link(`${stem}.m3u8`)}`,
		requests,
	};
}
