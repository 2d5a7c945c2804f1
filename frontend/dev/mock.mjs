// A stand-in for the edge, for looking at the page: the built files, canned documents, and a live HLS test picture.
//
//   npm run build && npm run mock [-- --port 8090 --scenario live]
//
// Scenarios: live, over, upcoming, searching, tbc, empty, broken. Switch while running: GET /mock/scenario?name=upcoming.
// Streams can be taken down and up again: GET /mock/stream?id=world-feed&up=false.
// `--cameras 6` lists six more streams, which show the pictures of the others.
// A stream comes from its other source after GET /mock/switch?id=world-feed.
// Events are sent to all pages: GET /mock/event?kind=switched&data={…}.
// `/?bare` is answered without the inlined bootstrap document.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { documents } from './documents.mjs';

const { values } = parseArgs({
	options: {
		port: { type: 'string', default: '8090' },
		scenario: { type: 'string', default: 'live' },
		cameras: { type: 'string', default: '0' },
		build: { type: 'string', default: new URL('../build', import.meta.url).pathname },
	},
});

const media = mkdtempSync(path.join(tmpdir(), 'pitwall-mock-'));
const pictures = { 'world-feed': 'testsrc2', 'onboard-44': 'smptehdbars', 'pit-lane': 'testsrc' };
/** Streams that were taken down, and since when. */
const down = new Map();
let scenario = values.scenario;
/** Streams that come from their other source. */
const switched = new Set();
/** Pages that listen to events. */
const listeners = new Set();
const cameras = Number(values.cameras);

const encoders = Object.entries(pictures).map(([id, source], n) => encode(id, source, 330 * (n + 1)));

function encode(id, source, tone) {
	const out = path.join(media, id);
	const args = [
		...['-hide_banner', '-loglevel', 'error', '-re'],
		...['-f', 'lavfi', '-i', `${source}=size=640x360:rate=25`],
		...['-f', 'lavfi', '-i', `sine=frequency=${tone}:sample_rate=48000`],
		...['-map', '0:v', '-map', '1:a', '-map', '0:v', '-map', '1:a'],
		...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-sc_threshold', '0', '-pix_fmt', 'yuv420p'],
		...[
			'-s:v:1',
			'320x180',
			'-b:v:0',
			'900k',
			'-b:v:1',
			'250k',
			'-c:a',
			'aac',
			'-b:a',
			'64k',
			'-threads',
			'1',
		],
		...['-f', 'hls', '-hls_time', '2', '-hls_list_size', '60'],
		...['-hls_flags', 'delete_segments+program_date_time+independent_segments'],
		...['-var_stream_map', 'v:0,a:0 v:1,a:1', '-master_pl_name', 'index.m3u8'],
		...['-hls_segment_filename', `${out}/v%v/%d.ts`, `${out}/v%v/index.m3u8`],
	];
	return spawn('ffmpeg', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

function leave() {
	encoders.forEach((encoder) => encoder.kill('SIGKILL'));
	rmSync(media, { recursive: true, force: true });
	process.exit(0);
}
process.on('SIGINT', leave);
process.on('SIGTERM', leave);

const types = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript',
	'.css': 'text/css',
	'.svg': 'image/svg+xml',
	'.json': 'application/json',
	'.webmanifest': 'application/manifest+json',
	'.m3u8': 'application/vnd.apple.mpegurl',
	'.ts': 'video/mp2t',
};

// What the edge is to send with the page.
const policy = [
	"default-src 'self'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"media-src 'self' blob:",
	"worker-src 'self'",
	"connect-src 'self'",
	"object-src 'none'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
].join('; ');

function page(response, { pathname, searchParams }) {
	let html = readFileSync(path.join(values.build, 'index.html'), 'utf8').replaceAll(
		'<!--pitwall:root-->',
		'/',
	);
	const { bootstrap } = documents(scenario, down, cameras);
	if (!searchParams.has('bare') && bootstrap) {
		// Only where it will be played: an unused preload is a waste and a warning.
		const watching = pathname === '/' || (pathname.startsWith('/watch') && !searchParams.has('s'));
		const first = watching && bootstrap.streams[0];
		const preload = first
			? `<link rel="preload" as="fetch" crossorigin="anonymous" href="${first.playlist}">`
			: '';
		const json = JSON.stringify(bootstrap).replaceAll('<', '\\u003c');
		html = html.replace(
			'<!--pitwall:bootstrap-->',
			() =>
				`<script id="bootstrap" type="application/json" data-now="${new Date().toISOString()}">${json}</script>${preload}`,
		);
	}
	response.writeHead(200, {
		'content-type': types['.html'],
		'cache-control': 'no-store',
		'content-security-policy': policy,
	});
	response.end(html);
}

function file(response, name, cache) {
	if (!existsSync(name) || !statSync(name).isFile()) return false;
	response.writeHead(200, {
		'content-type': types[path.extname(name)] ?? 'application/octet-stream',
		'cache-control': cache,
	});
	response.end(readFileSync(name));
	return true;
}

function problem(response, status, title, detail) {
	response.writeHead(status, { 'content-type': 'application/problem+json', 'cache-control': 'no-store' });
	response.end(JSON.stringify({ type: 'about:blank', title, status, detail }));
}

/** As the edge answers: a document that has not changed is not sent again. */
function api(response, name, knownTag) {
	const found = documents(scenario, down, cameras)[name];
	if (!found) return problem(response, 503, 'Unavailable', 'The control plane has published nothing yet');
	for (const stream of found.streams?.length ? found.streams : []) {
		if (switched.has(stream.id)) for (const source of stream.sources) source.active = !source.active;
	}
	const text = JSON.stringify(found);
	const etag = `"${createHash('sha256').update(text).digest('hex').slice(0, 16)}"`;
	response.writeHead(etag === knownTag ? 304 : 200, {
		'content-type': 'application/json',
		'cache-control': 'no-cache',
		etag,
		'pitwall-map-version': Date.now(),
	});
	response.end(etag === knownTag ? undefined : text);
}

function live(response, rest) {
	const id = rest.split('/')[0];
	const camera = /^camera-(\d)$/.exec(id)?.[1];
	const picture = camera ? Object.keys(pictures)[camera % 3] : id;
	const name = path.join(media, path.normalize(rest.replace(id, picture)));
	if (down.has(id) || !file(response, name, 'no-store')) {
		problem(response, 503, 'No upstream answers');
	}
}

createServer((request, response) => {
	const url = new URL(request.url, 'http://mock');
	const { pathname, searchParams } = url;
	if (pathname === '/mock/scenario') {
		scenario = searchParams.get('name') ?? 'live';
		return response.end(scenario);
	}
	if (pathname === '/mock/stream') {
		if (searchParams.get('up') === 'false') down.set(searchParams.get('id'), Date.now());
		else down.delete(searchParams.get('id'));
		return response.end([...down.keys()].join());
	}
	if (pathname === '/mock/switch') {
		switched.add(searchParams.get('id'));
		return response.end();
	}
	if (pathname === '/mock/event') {
		const text = `event: ${searchParams.get('kind')}\ndata: ${searchParams.get('data')}\n\n`;
		for (const listener of listeners) listener.write(text);
		return response.end(`${listeners.size}`);
	}
	if (pathname === '/api/events' && scenario !== 'broken') {
		response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
		response.write('retry: 2000\n\n');
		listeners.add(response);
		return response.on('close', () => listeners.delete(response));
	}
	if (pathname.startsWith('/api/')) return api(response, pathname.slice(5), request.headers['if-none-match']);
	if (pathname.startsWith('/live/')) return live(response, pathname.slice(6));
	if (
		pathname !== '/' &&
		file(response, path.join(values.build, path.normalize(pathname)), 'max-age=31536000')
	)
		return;
	page(response, url);
}).listen(Number(values.port), '127.0.0.1', () =>
	console.log(`http://127.0.0.1:${values.port} (${scenario})`),
);
