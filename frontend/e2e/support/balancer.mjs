// A plain load balancer: every request to the next edge, and to another one when that is not there.
import { createServer, request as ask } from 'node:http';
import { listen } from './process.mjs';

export async function balancer(t, edges) {
	let turn = 0;
	const server = createServer((request, response) => {
		const order = edges.map((_, index) => edges[(turn + index) % edges.length]);
		turn++;
		const attempt = ([edge, ...others]) => {
			if (!edge) return response.destroy();
			const target = new URL(edge.origin);
			const forwarded = ask(
				{
					host: target.hostname,
					port: target.port,
					path: request.url,
					method: request.method,
					headers: { ...request.headers, host: target.host },
				},
				(answer) => {
					// One that has no map yet, or not what only the other has fetched of a source that died.
					if ([502, 503, 504].includes(answer.statusCode) && others.length > 0) {
						answer.resume();
						return attempt(others);
					}
					response.writeHead(answer.statusCode, answer.headers);
					answer.pipe(response);
					answer.on('error', () => response.destroy());
				},
			);
			forwarded.on('error', () => (response.headersSent ? response.destroy() : attempt(others)));
			forwarded.end();
		};
		attempt(order);
	});
	const port = await listen(t, server);
	return `http://127.0.0.1:${port}`;
}
