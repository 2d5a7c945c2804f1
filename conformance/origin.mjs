// A live origin: a folder that a packager fills, served with the faults of a source.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { freePort } from '../frontend/e2e/support/process.mjs';

const TYPES = {
	'.m3u8': 'application/vnd.apple.mpegurl',
	'.ts': 'video/mp2t',
	'.m4s': 'video/mp4',
	'.mp4': 'video/mp4',
};
const HEADERS = {
	'access-control-allow-origin': '*',
	'cache-control': 'no-cache',
};

/**
 * Serves `folder` under `/media/`, and under `/token/{n}/` as long as token n is valid. `/page` hands out an address
 * with a token, as a site does.
 *  - `die` resets all connections and refuses new ones until `revive`;
 *  - `refuse(status)` answers the next request for a segment with this status;
 *  - `endTokens` invalidates the tokens that were handed out.
 */
export async function startOrigin(t, folder, entry) {
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const tokens = { first: 1, last: 0 };
	let refusal;
	const server = createServer(async (request, response) => {
		const answer = (status, body = '') => response.writeHead(status, HEADERS).end(body);
		const [, root, ...rest] = new URL(request.url, url).pathname.split('/');
		if (root === 'page') return answer(200, `playlist: ${url}/token/${++tokens.last}/${entry}\n`);
		if (root === 'token' && !(Number(rest.shift()) >= tokens.first)) return answer(403);
		if (!['media', 'token'].includes(root)) return answer(404);
		const file = path.join(folder, path.normalize(`/${rest.join('/')}`));
		const type = TYPES[path.extname(file)];
		if (refusal && type !== TYPES['.m3u8'] && !/init/.test(file)) {
			const status = refusal;
			refusal = undefined;
			return answer(status);
		}
		const found = await stat(file).catch(() => undefined);
		if (!found?.isFile()) return answer(404);
		send(request, response, file, found.size, type);
	});
	const start = () => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
	const stop = () => {
		server.close();
		server.closeAllConnections();
	};
	await start();
	t.after(stop);
	return {
		url: `${url}/media/${entry}`,
		page: `${url}/page`,
		die: stop,
		revive: start,
		refuse: (status) => (refusal = status),
		endTokens: () => (tokens.first = tokens.last + 1),
	};
}

function send(request, response, file, size, type) {
	const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
	const range =
		first === undefined ? undefined : { start: Number(first), end: Math.min(Number(last || size), size - 1) };
	if (range && range.start > range.end) {
		return response.writeHead(416, { ...HEADERS, 'content-range': `bytes */${size}` }).end();
	}
	response.writeHead(range ? 206 : 200, {
		...HEADERS,
		'content-type': type ?? 'application/octet-stream',
		'content-length': range ? range.end - range.start + 1 : size,
		...(range && {
			'content-range': `bytes ${range.start}-${range.end}/${size}`,
		}),
	});
	if (request.method === 'HEAD') return response.end();
	// A packager may delete or shorten the file meanwhile.
	createReadStream(file, range)
		.on('error', () => response.destroy())
		.pipe(response);
}
