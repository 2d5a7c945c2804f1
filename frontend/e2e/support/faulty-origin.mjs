// A proxy between an edge and an origin that simulates the faults of a source.
import { createServer, request as httpRequest } from 'node:http';
import { listen } from './process.mjs';

/**
 * `offset` is added to the media sequence numbers, because two sources number their segments differently. Values of
 * `fault`:
 *  - `dead`: connections are reset;
 *  - `frozen`: playlists stay as they were;
 *  - `renumbered`: media sequence numbers start again from 3, as after a restart of the source.
 * `segments` counts the requests for segments; `delivered` lists the delivered ones with the expiry of their token.
 */
export async function faultyOrigin(t, origin, offset) {
	const target = new URL(origin);
	const source = { fault: 'none', base: '', segments: 0, delivered: [] };
	const frozenPlaylists = new Map();
	let renumberBase;
	const server = createServer((request, response) => {
		if (source.fault === 'dead') return request.socket.destroy();
		const name = request.url.split('?')[0];
		const forwarded = httpRequest(
			{
				host: target.hostname,
				port: target.port,
				path: request.url,
				headers: { ...request.headers, host: target.host, 'accept-encoding': 'identity' },
			},
			async (upstreamResponse) => {
				const segment = /\/(\d+)\.(ts|m4s)$/.exec(name);
				if (segment) source.segments++;
				if (segment && upstreamResponse.statusCode === 200) {
					const expires = Number(new URL(request.url, origin).searchParams.get('exp'));
					source.delivered.push({ number: Number(segment[1]), expires });
				}
				const chunks = [];
				try {
					for await (const chunk of upstreamResponse) chunks.push(chunk);
				} catch {
					return response.destroy();
				}
				let body = Buffer.concat(chunks);
				if (
					upstreamResponse.statusCode === 200 &&
					/json|mpegurl/.test(upstreamResponse.headers['content-type'] ?? '')
				) {
					body = Buffer.from(alterPlaylist(name, body.toString().replaceAll(origin, source.base)));
				}
				const headers = { ...upstreamResponse.headers, 'content-length': body.length };
				if (headers.location) headers.location = headers.location.replace(origin, source.base);
				delete headers['transfer-encoding'];
				response.writeHead(upstreamResponse.statusCode, headers);
				response.end(body);
			},
		);
		forwarded.on('error', () => response.destroy());
		forwarded.end();
	});
	const alterPlaylist = (name, text) => {
		if (source.fault !== 'renumbered') renumberBase = undefined;
		if (source.fault !== 'frozen') frozenPlaylists.delete(name);
		const match = /#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text);
		if (!match) return text;
		let number = Number(match[1]) + offset;
		if (source.fault === 'renumbered') number -= renumberBase ??= number - 3;
		const renumberedText = text.replace(match[0], `#EXT-X-MEDIA-SEQUENCE:${number}`);
		if (source.fault !== 'frozen') return renumberedText;
		if (!frozenPlaylists.has(name)) frozenPlaylists.set(name, renumberedText);
		return frozenPlaylists.get(name);
	};
	const port = await listen(t, server);
	source.base = `http://127.0.0.1:${port}`;
	return source;
}
