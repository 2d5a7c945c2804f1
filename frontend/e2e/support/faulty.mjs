// Stands between an edge and an origin and does to it what happens to sources.
import { createServer, request as ask } from 'node:http';
import { listen } from './process.mjs';

/**
 * `offset` is added to the numbers of its playlists: another source counts otherwise. What is done to it:
 *  - `dead`: connections are reset;
 *  - `frozen`: playlists stay as they were;
 *  - `anew`: it counts from a few, as after a restart.
 * It keeps count of what it is asked for: `segments`, and those it `delivered`, each with the end of the token
 * that opened it.
 */
export async function faulty(t, origin, offset) {
	const target = new URL(origin);
	const source = { fault: 'none', base: '', segments: 0, delivered: [] };
	const kept = new Map();
	let begin;
	const server = createServer((request, response) => {
		if (source.fault === 'dead') return request.socket.destroy();
		const name = request.url.split('?')[0];
		const forwarded = ask(
			{
				host: target.hostname,
				port: target.port,
				path: request.url,
				headers: { ...request.headers, host: target.host, 'accept-encoding': 'identity' },
			},
			async (answer) => {
				const segment = /\/(\d+)\.(ts|m4s)$/.exec(name);
				if (segment) source.segments++;
				if (segment && answer.statusCode === 200) {
					const expires = Number(new URL(request.url, origin).searchParams.get('exp'));
					source.delivered.push({ number: Number(segment[1]), expires });
				}
				const chunks = [];
				try {
					for await (const chunk of answer) chunks.push(chunk);
				} catch {
					return response.destroy();
				}
				let body = Buffer.concat(chunks);
				if (answer.statusCode === 200 && /json|mpegurl/.test(answer.headers['content-type'] ?? '')) {
					body = Buffer.from(playlist(name, body.toString().replaceAll(origin, source.base)));
				}
				const headers = { ...answer.headers, 'content-length': body.length };
				if (headers.location) headers.location = headers.location.replace(origin, source.base);
				delete headers['transfer-encoding'];
				response.writeHead(answer.statusCode, headers);
				response.end(body);
			},
		);
		forwarded.on('error', () => response.destroy());
		forwarded.end();
	});
	const playlist = (name, text) => {
		if (source.fault !== 'anew') begin = undefined;
		if (source.fault !== 'frozen') kept.delete(name);
		const said = /#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text);
		if (!said) return text;
		let number = Number(said[1]) + offset;
		if (source.fault === 'anew') number -= begin ??= number - 3;
		const numbered = text.replace(said[0], `#EXT-X-MEDIA-SEQUENCE:${number}`);
		if (source.fault !== 'frozen') return numbered;
		if (!kept.has(name)) kept.set(name, numbered);
		return kept.get(name);
	};
	const port = await listen(t, server);
	source.base = `http://127.0.0.1:${port}`;
	return source;
}
