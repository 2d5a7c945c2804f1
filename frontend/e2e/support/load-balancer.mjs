// A round-robin load balancer that retries a request at another edge if the first one fails.
import { createServer, request as httpRequest } from 'node:http';
import { listen } from './process.mjs';

export async function startLoadBalancer(t, edges) {
	let nextIndex = 0;
	const server = createServer((request, response) => {
		const edgesInOrder = edges.map((_, index) => edges[(nextIndex + index) % edges.length]);
		nextIndex++;
		const attempt = ([edge, ...others]) => {
			if (!edge) return response.destroy();
			const target = new URL(edge.origin);
			const forwarded = httpRequest(
				{
					host: target.hostname,
					port: target.port,
					path: request.url,
					method: request.method,
					headers: { ...request.headers, host: target.host },
				},
				(upstreamResponse) => {
					// An edge answers these if it has no upstream map yet, or if it lacks a segment of a dead source that only the
					// other edge has fetched.
					if ([502, 503, 504].includes(upstreamResponse.statusCode) && others.length > 0) {
						upstreamResponse.resume();
						return attempt(others);
					}
					response.writeHead(upstreamResponse.statusCode, upstreamResponse.headers);
					upstreamResponse.pipe(response);
					upstreamResponse.on('error', () => response.destroy());
				},
			);
			forwarded.on('error', () => (response.headersSent ? response.destroy() : attempt(others)));
			forwarded.end();
		};
		attempt(edgesInOrder);
	});
	const port = await listen(t, server);
	return `http://127.0.0.1:${port}`;
}
