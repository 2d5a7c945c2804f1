// A live source that can be told to fail: one media playlist whose segments are a function of the clock.
import { createServer } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';

const PACKET_BYTES = 188;
const SEGMENT_BYTES = 200 * PACKET_BYTES;
const TAIL = 'END OF SEGMENT ';

/** What every source has that is not told otherwise: `target` is the target duration in seconds. */
export const defaults = { target: 2 };

/** Packets of a transport stream that name their source and number; the last one says how long the segment is. */
export function segmentBytes(label, bytes = SEGMENT_BYTES) {
	const packet = Buffer.alloc(PACKET_BYTES);
	packet[0] = 0x47;
	packet.write(label, 4);
	const body = Buffer.alloc(bytes, packet);
	body.write(`${TAIL}${bytes}`, bytes - PACKET_BYTES + 64);
	return body;
}

/** Whether these are all bytes of one segment, from its first to its last, and of which one. */
export function readSegment(body) {
	const label = body.subarray(4, 64).toString().replace(/\0.*$/s, '');
	const isWhole = label !== '' && body.equals(segmentBytes(label, body.length));
	return { label, isWhole };
}

/** Answers one request with bytes, whole or the range that is asked for. */
export function sendBytes(request, response, body, headers = {}) {
	const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
	if (!range) {
		response.writeHead(200, {
			'content-length': body.length,
			'accept-ranges': 'bytes',
			...headers,
		});
		return response.end(request.method === 'HEAD' ? undefined : body);
	}
	const first = Number(range[1]);
	const last = Math.min(range[2] === '' ? body.length - 1 : Number(range[2]), body.length - 1);
	if (first > last) {
		response.writeHead(416, { 'content-range': `bytes */${body.length}` });
		return response.end();
	}
	response.writeHead(206, {
		'content-length': last - first + 1,
		'content-range': `bytes ${first}-${last}/${body.length}`,
		...headers,
	});
	return response.end(body.subarray(first, last + 1));
}

/**
 * Starts a source. What can be set while it runs:
 *  - `onPlaylist`, `onSegment`: `(request, response, {number, body}) => true` where they have answered themselves;
 *  - `alterPlaylist`: `(text) => text`;
 *  - `frozenAt`: Unix seconds at which the playlist stands still;
 *  - `offset`: what is added to the clock's segment numbers;
 *  - `token`: where set, only requests with this `token=` are answered, any other gets 403.
 * `requests` is what was asked for; `down()` closes the listener and every connection, `up()` listens again.
 */
export async function startSource(bed, options = {}) {
	const {
		name = 'a',
		target = 2,
		window = 6,
		offset = 0,
		segmentSize = SEGMENT_BYTES,
		etag = true,
	} = options;
	const source = {
		name,
		target,
		offset,
		frozenAt: undefined,
		token: undefined,
		onPlaylist: undefined,
		onSegment: undefined,
		alterPlaylist: undefined,
		requests: [],
		connections: 0,
	};
	source.count = (pattern) => source.requests.filter(({ url }) => pattern.test(url)).length;
	source.newest = () => Math.floor((source.frozenAt ?? Date.now() / 1000) / target) - 1 + source.offset;
	source.playlist = () => {
		const query = source.token === undefined ? '' : `?token=${source.token}`;
		const newest = source.newest();
		const numbers = Array.from({ length: window }, (_, at) => newest - window + 1 + at);
		const text = [
			'#EXTM3U',
			'#EXT-X-VERSION:3',
			`#EXT-X-TARGETDURATION:${target}`,
			`#EXT-X-MEDIA-SEQUENCE:${numbers[0]}`,
			...numbers.flatMap((number) => [`#EXTINF:${target}.000,`, `${number}.ts${query}`]),
			'',
		].join('\n');
		return source.alterPlaylist?.(text) ?? text;
	};
	source.segment = (number) => segmentBytes(`${name}:${number}`, segmentSize);
	const server = createServer((request, response) => {
		source.requests.push({
			at: performance.now(),
			url: request.url,
			range: request.headers.range,
		});
		if (options.route?.(request, response)) return undefined;
		const { pathname, searchParams } = new URL(request.url, 'http://source');
		if (source.token !== undefined && searchParams.get('token') !== `${source.token}`) {
			response.writeHead(403, { 'content-length': 0 });
			return response.end();
		}
		if (pathname === '/live.m3u8') {
			if (source.onPlaylist?.(request, response)) return undefined;
			return sendBytes(request, response, Buffer.from(source.playlist()), {
				'content-type': 'application/vnd.apple.mpegurl',
			});
		}
		const number = Number(/^\/(\d+)\.ts$/.exec(pathname)?.[1] ?? NaN);
		if (!Number.isFinite(number) || number > source.newest()) {
			response.writeHead(404, { 'content-length': 0 });
			return response.end();
		}
		const body = source.segment(number);
		if (source.onSegment?.(request, response, { number, body })) return undefined;
		return sendBytes(request, response, body, {
			'content-type': 'video/mp2t',
			...(etag ? { etag: `"${name}-${number}"` } : {}),
		});
	});
	server.keepAliveTimeout = 60_000;
	server.on('connection', () => source.connections++);
	const listen = (port) => new Promise((resolve) => server.listen(port, '127.0.0.1', 2048, resolve));
	await listen(0);
	source.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port;
	source.base = `http://127.0.0.1:${source.port}`;
	source.url = `${source.base}/live.m3u8`;
	source.up = () => listen(source.port);
	source.down = () =>
		new Promise((resolve) => {
			server.close(resolve);
			server.closeAllConnections();
		});
	source.newPlaylist = async () => {
		const newest = source.newest();
		while (source.newest() === newest) await after(20);
	};
	bed.after(() => (server.listening ? source.down() : undefined));
	return source;
}

/** A `[[source]]` section for it. */
export const sourceSection = (source, feed = 'World feed', more = '') => `
[[source]]
name = "${source.name}"
kind = "static"
feed = "${feed}"
url = "${source.url}"
allow_private = ["127.0.0.0/8"]
${more}
`;
