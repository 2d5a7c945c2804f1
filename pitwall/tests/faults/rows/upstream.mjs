// Faults of sources: what an origin, its network and its certificates can do to an edge.
import { createHash } from 'node:crypto';
import dgram from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { startProcess } from '../../../../frontend/e2e/support/process.mjs';
import { ADMIN_TOKEN, allowed, config, eventually, isRoot, need } from '../bed.mjs';
import { getJson, pause, plainLink, quantile, request } from '../client.mjs';
import { readSegment, segmentBytes, sendBytes, sourceSection, startSource } from '../source.mjs';

const SEGMENT_TYPE = { 'content-type': 'video/mp2t' };

/** A viewer of a stream that two sources have; `a` plays. */
async function watchTwoSources(bed, options = {}) {
	const a = await startSource(bed, { name: 'a', ...options });
	const b = await startSource(bed, { name: 'b', offset: 5000, ...options });
	const edge = await bed.started(
		config({
			source: sourceSection(a, 'World feed', 'priority = 1') + sourceSection(b),
		}),
	);
	await edge.untilHealthy();
	await edge.untilUpstreams(2);
	// The one that was checked first plays, and stays for five minutes.
	await request(`${edge.origin}/api/streams/world-feed/switch`, {
		method: 'POST',
		headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
		body: JSON.stringify({ source: 'a', pin: false }),
	});
	const viewer = edge.viewer();
	await viewer.untilSource('a');
	await viewer.until(3);
	return { a, b, edge, viewer };
}

/** A viewer of the only source. */
async function watchOneSource(bed, options = {}) {
	const a = await startSource(bed, options);
	const edge = await bed.started(config({ source: sourceSection(a, 'World feed', options.section) }));
	await edge.untilHealthy();
	const viewer = edge.viewer();
	await viewer.until(3);
	return { a, edge, viewer };
}

/** An edge that relays from an origin which answers as `answer` says. */
async function relayOf(bed, answer, more = {}) {
	const requests = [];
	const server = createServer((incoming, response) => {
		requests.push({
			url: incoming.url,
			range: incoming.headers.range,
			at: performance.now(),
		});
		answer(incoming, response);
	});
	let connections = 0;
	server.on('connection', () => connections++);
	await new Promise((resolve) => server.listen(0, '127.0.0.1', 2048, resolve));
	bed.after(() => {
		server.closeAllConnections();
		server.close();
	});
	const base = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`;
	const edge = await bed.started(config({ upstream: allowed(base), ...more }), { name: 'relay' });
	return {
		edge,
		base,
		requests,
		connections: () => connections,
		link: (route, url) => edge.origin + plainLink(route, base + url),
	};
}

const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

export const UPSTREAM_ROWS = [
	{
		number: 1,
		name: 'connection-refused',
		promise: 'the next source within 1 s; a stall of at most one segment',
		fast: true,
		async run(bed, m) {
			const { a, viewer, edge } = await watchTwoSources(bed);
			const polls = viewer.counts.pollMs.length;
			await a.down();
			await viewer.untilSource('b');
			m.within('slowest poll ms', Math.max(...viewer.counts.pollMs.slice(polls)), 1000);
			await viewer.until(viewer.counts.segments + 3);
			m.viewers(await viewer.stop(), { stall: 1 });
			m.note('switches', await edge.metric(/^pitwall_source_switches_total/));
		},
	},
	{
		number: 2,
		name: 'syn-black-hole',
		promise: 'the connect timeout (3 s), then the next source; a stall of at most one segment',
		async run(bed, m) {
			const { a, viewer } = await watchTwoSources(bed);
			// A listener that accepts nothing, whose queue is full: the kernel drops every further SYN.
			await a.down();
			const hole = startProcess('python3', [
				'-c',
				`import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", ${a.port})); s.listen(0)
full = []
for _ in range(4):
    c = socket.socket(); c.setblocking(False); c.connect_ex(("127.0.0.1", ${a.port})); full.append(c)
print("full", flush=True); time.sleep(600)`,
			]);
			bed.after(() => hole.stop('SIGKILL'));
			await hole.untilOutput(/full/);
			const ms = await viewer.untilSource('b');
			m.note('the other source after s', ms / 1000);
			await viewer.until(viewer.counts.segments + 3);
			const counts = await viewer.stop();
			m.within('slowest poll s', Math.max(...counts.pollMs) / 1000, 4);
			m.viewers(counts, { stall: 2.5 });
		},
	},
	{
		number: 3,
		name: 'dns',
		promise:
			'a name that does not exist 502, a resolver that is silent 502 or 504; other streams as fast as before',
		async run(bed, m) {
			need(
				isRoot,
				'root, to answer on port 53 of a loopback address and to name it in a resolv.conf of its own',
			);
			const resolver = dgram.createSocket('udp4');
			resolver.on('message', (query, peer) => {
				const labels = query.subarray(12).toString('latin1');
				if (labels.includes('silent')) return;
				const reply = Buffer.from(query);
				reply[2] |= 0x80;
				reply[3] = 0x83;
				resolver.send(reply, peer.port, peer.address);
			});
			await new Promise((resolve) => resolver.bind(53, '127.0.0.77', resolve));
			bed.after(() => resolver.close());
			const file = path.join(bed.folder, 'resolv.conf');
			writeFileSync(file, 'nameserver 127.0.0.77\noptions timeout:10 attempts:1\n');
			const a = await startSource(bed);
			const edge = await bed.started(
				config({
					source: sourceSection(a),
					upstream: 'allow_hosts = ["gone.example", "silent.example"]\n',
				}),
				{
					wrap: [
						'unshare',
						'--mount',
						'sh',
						'-c',
						`mount --bind ${file} /etc/resolv.conf && exec "$@"`,
						'sh',
					],
				},
			);
			await edge.untilHealthy();
			const viewer = edge.viewer();
			await viewer.until(3);
			const polls = viewer.counts.pollMs.length;
			const ask = (host) => request(edge.origin + plainLink('/relay', `http://${host}/1.ts`));
			const gone = await ask('gone.example');
			m.equal('gone', gone.status, 502);
			const silent = await Promise.all(Array.from({ length: 100 }, () => ask('silent.example')));
			m.equal(
				'silent: 502 or 504',
				[...new Set(silent.map(({ status }) => status))].every((s) => s === 502 || s === 504),
				true,
			);
			m.within('slowest of 100 s', Math.max(...silent.map(({ ms }) => ms)) / 1000, 15);
			await viewer.until(viewer.counts.segments + 2);
			const counts = await viewer.stop();
			m.within('poll p99 ms meanwhile', quantile(counts.pollMs.slice(polls), 0.99), 1000);
			m.viewers(counts);
		},
	},
	{
		number: 4,
		name: 'reset-mid-segment',
		promise: 'resumed or aborted; nothing partial is cached; the retry succeeds',
		fast: true,
		async run(bed, m) {
			// One source has validators, the other none: the edge resumes both, or neither is passed on as whole.
			for (const etag of [true, false]) {
				const name = etag ? 'tagged' : 'bare';
				const source = await startSource(bed, {
					name,
					etag,
					segmentSize: 188 * 2000,
				});
				const cut = new Set();
				source.onSegment = (incoming, response, { number, body }) => {
					if (cut.has(number) || incoming.headers.range) return false;
					cut.add(number);
					response.writeHead(200, {
						'content-length': body.length,
						...SEGMENT_TYPE,
					});
					response.write(body.subarray(0, body.length / 2), () => response.destroy());
					return true;
				};
				const edge = await bed.started(config({ source: sourceSection(source) }), { name });
				await edge.untilHealthy();
				const viewer = edge.viewer();
				await viewer.until(8);
				m.atLeast(`${name}: resets`, cut.size, 5);
				m.viewers(await viewer.stop(), { stall: 1 });
			}
		},
	},
	{
		number: 5,
		name: 'stall-mid-body',
		promise: 'aborted 5 s after the last byte; the retry is whole; a stall of at most 3 s',
		async run(bed, m) {
			const { edge, link } = await relayOf(bed, (incoming, response) => {
				response.writeHead(200, {
					'content-length': 1_000_000,
					...SEGMENT_TYPE,
				});
				response.write(Buffer.alloc(200_000, 0x47));
			});
			const answer = await request(link('/relay', '/1.ts'));
			m.equal('complete', answer.complete, false);
			// Two attempts to resume come on top: each waits for its own first bytes.
			m.within('aborted after s', answer.ms / 1000, 5.5);
			m.atMost('bytes in flight after it', await edge.metric(/^pitwall_inflight_fetch_bytes/), 0);
			// Every third segment stalls, once.
			const { a, viewer } = await watchOneSource(bed);
			const stalled = new Set();
			a.onSegment = (incoming, response, { number, body }) => {
				if (number % 3 !== 0 || stalled.has(number) || incoming.headers.range) return false;
				stalled.add(number);
				response.writeHead(200, { 'content-length': body.length, ...SEGMENT_TYPE });
				response.write(body.subarray(0, 5000));
				return true;
			};
			await viewer.until(viewer.counts.segments + 8);
			m.atLeast('segments that stalled', stalled.size, 2);
			m.viewers(await viewer.stop(), { stall: 3 });
		},
	},
	{
		name: 'every-segment-stalls',
		promise: 'a source whose playlist goes on and whose segments all stall is left for the next',
		async run(bed, m) {
			const { a, viewer } = await watchTwoSources(bed);
			a.onSegment = (incoming, response, { body }) => {
				response.writeHead(200, { 'content-length': body.length, ...SEGMENT_TYPE });
				response.write(body.subarray(0, 5000));
				return true;
			};
			const ms = await viewer.untilSource('b', 60);
			m.within('the other source after s', ms / 1000, 12);
			await viewer.until(viewer.counts.segments + 3);
			m.viewers(await viewer.stop(), { stall: 6, skipped: 6 });
		},
	},
	{
		name: 'encoder-is-restarted',
		promise:
			'the only source ends its playlist and begins anew: players are not told of the end within a minute',
		async run(bed, m) {
			const { a, edge, viewer } = await watchOneSource(bed);
			const hasEnded = async () => {
				const { body } = await request(`${edge.origin}/live/world-feed/v.m3u8`);
				return /#EXT-X-ENDLIST/.test(body.toString());
			};
			let ends = 0;
			a.frozenAt = Date.now() / 1000;
			a.alterPlaylist = (text) => `${text}#EXT-X-ENDLIST\n`;
			for (let second = 0; second < 5; second++) {
				ends += Number(await hasEnded());
				await pause(1000);
			}
			// It counts from 100 on.
			a.frozenAt = undefined;
			a.offset -= a.newest() - 100;
			a.alterPlaylist = undefined;
			await viewer.until(viewer.counts.segments + 4);
			ends += Number(await hasEnded());
			m.equal('playlists that say that it has ended', ends, 0);
			m.viewers(await viewer.stop(), { stall: 6 });
			const began = performance.now();
			a.alterPlaylist = (text) => `${text}#EXT-X-ENDLIST\n`;
			a.frozenAt = Date.now() / 1000;
			await eventually(hasEnded, 'it has ended', 75);
			m.atLeast('and where it does not: the end after s', (performance.now() - began) / 1000, 55);
		},
	},
	{
		number: 6,
		name: 'drip',
		promise: 'a body of known length below 50 KiB/s is aborted after 10 s; its permit returns',
		async run(bed, m) {
			const { edge, link } = await relayOf(bed, (incoming, response) => {
				if (incoming.url !== '/drip.ts')
					return sendBytes(incoming, response, segmentBytes('fine'), SEGMENT_TYPE);
				response.writeHead(200, {
					'content-length': 1_000_000,
					...SEGMENT_TYPE,
				});
				const drip = setInterval(() => response.write('x'), 1000);
				response.on('close', () => clearInterval(drip));
				return undefined;
			});
			const drips = await Promise.all(
				Array.from({ length: 20 }, () => request(link('/relay', '/drip.ts'), { timeout: 60_000 })),
			);
			m.equal(
				'complete',
				drips.some(({ complete }) => complete),
				false,
			);
			m.within('aborted after s', Math.max(...drips.map(({ ms }) => ms)) / 1000, 12);
			const fine = await request(link('/relay', '/fine.ts'));
			m.equal('then another', fine.status, 200);
			await eventually(
				async () => (await edge.metric(/^pitwall_inflight_fetch_bytes/)) === 0,
				'no byte reserved',
				8,
			);
			m.equal('bytes in flight', await edge.metric(/^pitwall_inflight_fetch_bytes/), 0);
		},
	},
	{
		number: 7,
		name: 'token-expired',
		promise: 'exactly one refresh across 500 viewers; nobody sees the 403',
		fast: true,
		async run(bed, m) {
			let runs = 0;
			const source = await startSource(bed, {
				window: 15,
				route: (incoming, response) => {
					if (incoming.url !== '/page') return false;
					runs++;
					sendBytes(
						incoming,
						response,
						Buffer.from(JSON.stringify({ playlist: `/live.m3u8?token=${source.token}` })),
					);
					return true;
				},
			});
			source.token = 1;
			const edge = await bed.started(
				config({
					source: `[[source]]\nname = "a"\nkind = "recipe"\nevery = "1h"\nallow_private = ["127.0.0.0/8"]\ntoken_parameters = ["token"]
for = [{ feed = "World feed" }]\n[[source.step]]\nget = "${source.base}/page"\n[[source.step]]\npointer = "/playlist"\nsave = "playlist"
[source.result]\nplaylist = "{{playlist}}"\n`,
				}),
			);
			await edge.untilHealthy();
			const playlist = (await request(`${edge.origin}/live/world-feed/v.m3u8`)).body.toString();
			const segment = edge.origin + playlist.split('\n').filter((line) => line.startsWith('/live/'))[4];
			const before = runs;
			source.token = 2;
			const agent = bed.agent({ maxSockets: 500 });
			const answers = await Promise.all(Array.from({ length: 500 }, () => request(segment, { agent })));
			const again = await Promise.all(
				Array.from({ length: 500 }, () => request(`${edge.origin}/live/world-feed/v.m3u8`, { agent })),
			);
			m.equal('refreshes', runs - before, 1);
			m.equal(
				'segments served',
				answers.filter(({ status, complete }) => status === 200 && complete).length,
				500,
			);
			m.equal('playlists served', again.filter(({ status }) => status === 200).length, 500);
			m.equal('bodies', new Set(answers.map(({ body }) => sha(body))).size, 1);
			m.within('slowest s', Math.max(...answers.map(({ ms }) => ms)) / 1000, 3);
		},
	},
	{
		number: 8,
		name: '5xx-burst',
		promise: 'for 30 s: at most 20 % more requests than before, ejected, recovers by itself',
		async run(bed, m) {
			const { a, viewer, edge } = await watchTwoSources(bed);
			const rate = async (seconds) => {
				const before = a.requests.length;
				await pause(seconds * 1000);
				return (a.requests.length - before) / seconds;
			};
			const before = await rate(10);
			const fail = (incoming, response) => {
				response.writeHead(503, { 'content-length': 0 });
				return response.end();
			};
			[a.onPlaylist, a.onSegment] = [fail, fail];
			await viewer.untilSource('b');
			const during = await rate(30);
			[a.onPlaylist, a.onSegment] = [undefined, undefined];
			m.note('requests/s before', before);
			m.atMost('during', during, before * 1.2);
			const began = performance.now();
			await eventually(
				async () => {
					const { upstreams } = await getJson(`${edge.origin}/api/streams/world-feed/explain`);
					return upstreams.every(({ health }) => health === 'healthy');
				},
				'it is healthy again',
				90,
			);
			m.note('healthy again after s', (performance.now() - began) / 1000);
			m.viewers(await viewer.stop(), { stall: 1 });
		},
	},
	{
		number: 9,
		name: 'all-sources-dead',
		promise: '503 with Retry-After; the stream is reported down; it comes back by itself',
		async run(bed, m) {
			const { a, edge, viewer } = await watchOneSource(bed);
			await a.down();
			const url = `${edge.origin}/live/world-feed/v.m3u8`;
			const dead = await eventually(async () => {
				const answer = await request(url);
				return answer.status === 503 && answer;
			}, 'a 503');
			m.equal('Retry-After', /^\d+$/.test(dead.headers['retry-after'] ?? ''), true);
			m.equal(
				'a problem detail',
				JSON.parse(dead.body.toString()).type.startsWith('urn:pitwall:problem:'),
				true,
			);
			await eventually(async () => (await edge.streams())[0].health === 'down', 'it is reported');
			m.note('reported', 'down');
			await a.up();
			const began = performance.now();
			await eventually(async () => (await request(url)).status === 200, 'it plays again', 60);
			m.within('plays again after s', (performance.now() - began) / 1000, 15);
			const segments = viewer.counts.segments;
			await viewer.until(segments + 3);
			m.viewers(await viewer.stop(), {
				stall: Infinity,
				errors: Infinity,
				skipped: Infinity,
			});
		},
	},
	{
		number: 10,
		name: 'content-length-lies',
		promise: 'a shorter body is aborted; a longer one is cut at its length, its connection is not used again',
		fast: true,
		async run(bed, m) {
			let connections = 0;
			const body = segmentBytes('lies');
			const server = net.createServer((socket) => {
				connections++;
				socket
					.on('error', () => undefined)
					.on('data', (data) => {
						const name = /GET \/(\w+)/.exec(data.toString())?.[1];
						if (name === undefined) return;
						const length = {
							short: body.length + 5000,
							long: body.length,
							fine: body.length,
						}[name];
						socket.write(`HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: ${length}\r\n\r\n`);
						socket.write(body);
						if (name === 'long') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
						if (name === 'short') socket.end();
					});
			});
			await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
			bed.after(() => {
				server.close();
			});
			const base = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`;
			const edge = await bed.started(config({ upstream: allowed(base) }));
			const get = (name) => request(edge.origin + plainLink('/relay', `${base}/${name}.ts`));
			const short = await get('short');
			m.equal('shorter: complete', short.complete, false);
			const before = connections;
			const long = await get('long');
			m.equal('longer: whole', long.complete && long.body.equals(body), true);
			await pause(200);
			const fine = await get('fine');
			m.equal('next: whole', fine.complete && fine.body.equals(body), true);
			m.equal('connections for these two', connections - before, 2);
		},
	},
	{
		number: 11,
		name: 'wrong-ranges',
		promise:
			'a Range that the origin ignores is sliced right; a wrong Content-Range is 502 or aborted, never wrong bytes',
		fast: true,
		async run(bed, m) {
			const file = Buffer.concat([segmentBytes('one'), segmentBytes('two'), segmentBytes('three')]);
			const length = file.length / 3;
			const { edge, link } = await relayOf(bed, (incoming, response) => {
				if (incoming.url.endsWith('m3u8')) {
					const name = incoming.url.slice(1, -5);
					const text = ['#EXTM3U', '#EXT-X-VERSION:4', '#EXT-X-TARGETDURATION:2', '#EXT-X-PLAYLIST-TYPE:VOD'];
					for (const at of [0, 1, 2])
						text.push('#EXTINF:2,', `#EXT-X-BYTERANGE:${length}@${at * length}`, `${name}.ts`);
					return sendBytes(incoming, response, Buffer.from(`${text.join('\n')}\n#EXT-X-ENDLIST\n`), {
						'content-type': 'application/vnd.apple.mpegurl',
					});
				}
				const [, first, last] = /bytes=(\d+)-(\d+)/.exec(incoming.headers.range ?? 'bytes=0-0');
				const part = file.subarray(Number(first), Number(last) + 1);
				const answers = {
					ignored: [200, file, {}],
					right: [206, part, { 'content-range': `bytes ${first}-${last}/${file.length}` }],
					shifted: [
						206,
						file.subarray(0, length),
						{ 'content-range': `bytes 0-${length - 1}/${file.length}` },
					],
					missing: [206, file.subarray(0, length), {}],
					garbage: [206, file.subarray(0, length), { 'content-range': 'bytes x-y/z' }],
				};
				const [status, bytes, headers] = answers[incoming.url.slice(1, -3)];
				response.writeHead(status, {
					'content-length': bytes.length,
					...SEGMENT_TYPE,
					...headers,
				});
				return response.end(bytes);
			});
			const got = {};
			for (const name of ['ignored', 'right', 'shifted', 'missing', 'garbage']) {
				const playlist = (await request(link('/proxy', `/${name}.m3u8`))).body.toString();
				const uris = playlist.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
				const answer = await request(edge.origin + uris[1], {
					headers: { range: `bytes=${length}-${2 * length - 1}` },
				});
				const isRight =
					answer.complete && readSegment(answer.body).label === 'two' && readSegment(answer.body).isWhole;
				got[name] =
					answer.status === 206 && isRight
						? 'right'
						: answer.status === 502 || !answer.complete
							? 'refused'
							: `wrong: ${answer.status}`;
			}
			m.all('answers', got, {
				ignored: 'right',
				right: 'right',
				shifted: 'refused',
				missing: 'refused',
				garbage: 'refused',
			});
		},
	},
	{
		number: 12,
		name: 'redirects',
		promise: 'a loop 502 after 10 hops; a redirect to an address that nobody allowed: 502, no connection',
		fast: true,
		async run(bed, m) {
			let denied = 0;
			const secret = createServer((incoming, response) => response.end('secret'));
			secret.on('connection', () => denied++);
			await new Promise((resolve) => secret.listen(0, '127.0.0.2', resolve));
			bed.after(() => {
				secret.close();
			});
			const port = /** @type {net.AddressInfo} */ (secret.address()).port;
			let hops = 0;
			const server = createServer((incoming, response) => {
				hops++;
				const location = incoming.url.startsWith('/loop') ? '/loop2.ts' : `http://127.0.0.2:${port}/1.ts`;
				response.writeHead(302, { location, 'content-length': 0 });
				response.end();
			});
			await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
			bed.after(() => {
				server.close();
			});
			const base = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`;
			const edge = await bed.started(
				config({
					upstream: allowed(base).replace('127.0.0.0/8', '127.0.0.1/32'),
				}),
			);
			const loop = await request(edge.origin + plainLink('/relay', `${base}/loop.ts`));
			m.equal('loop', loop.status, 502);
			m.atMost('requests', hops, 11);
			const inside = await request(edge.origin + plainLink('/relay', `${base}/inside.ts`));
			m.equal('inside', inside.status, 502);
			m.equal('connections', denied, 0);
		},
	},
	{
		number: 13,
		name: 'certificates',
		promise: 'expired, of another host, self-signed: 502, never in clear text',
		fast: true,
		async run(bed, m) {
			const authority = bed.authority();
			const certificates = {
				good: authority.sign('good', 'localhost'),
				expired: authority.sign('expired', 'localhost', { expired: true }),
				'wrong-host': authority.sign('other', 'other.example'),
				'self-signed': authority.sign('self', 'localhost', {
					selfSigned: true,
				}),
			};
			let clear = 0;
			const ports = {};
			for (const [name, { cert, key }] of Object.entries(certificates)) {
				const inner = https.createServer({ cert, key }, (incoming, response) =>
					response.end(segmentBytes(name)),
				);
				inner.on('tlsClientError', () => undefined);
				// The first byte tells TLS (22) from clear text.
				const server = net.createServer((socket) => {
					socket.on('error', () => undefined);
					socket.once('readable', () => {
						const first = socket.read(1);
						if (first === null) return;
						if (first[0] !== 22) clear++;
						socket.unshift(first);
						inner.emit('connection', socket);
					});
				});
				await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
				bed.after(() => {
					server.close();
				});
				ports[name] = /** @type {net.AddressInfo} */ (server.address()).port;
			}
			const hosts = Object.values(ports).map((port) => `localhost:${port}`);
			const edge = await bed.started(
				config({
					upstream: allowed(...hosts).replace('"127.0.0.0/8"', '"127.0.0.0/8", "::1"'),
				}),
				{ env: { SSL_CERT_FILE: authority.file } },
			);
			const got = {};
			for (const [name, port] of Object.entries(ports))
				got[name] = (
					await request(edge.origin + plainLink('/relay', `https://localhost:${port}/1.ts`))
				).status;
			m.all('answers', got, {
				good: 200,
				expired: 502,
				'wrong-host': 502,
				'self-signed': 502,
			});
			m.equal('connections in clear text', clear, 0);
		},
	},
	{
		number: 14,
		name: 'playlist-frozen',
		promise: 'switched before the buffer is dry: no stall',
		fast: true,
		async run(bed, m) {
			const { a, viewer } = await watchTwoSources(bed);
			a.frozenAt = Date.now() / 1000;
			const ms = await viewer.untilSource('b', 20);
			m.atMost('the other source after target durations', ms / 1000 / a.target, 3);
			await viewer.until(viewer.counts.segments + 3);
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 15,
		name: 'sequence-jumps-back',
		promise: 'the published numbers go on; no error; the player plays on',
		fast: true,
		async run(bed, m) {
			const { a, viewer, edge } = await watchOneSource(bed);
			await a.newPlaylist();
			a.offset -= a.newest() - 5;
			await viewer.until(viewer.counts.segments + 6);
			const text = (await request(`${edge.origin}/live/world-feed/v.m3u8`)).body.toString();
			m.equal('marked as a discontinuity', text.includes('#EXT-X-DISCONTINUITY'), true);
			m.viewers(await viewer.stop(), { stall: 2 });
		},
	},
	{
		number: 16,
		name: 'playlist-bombs',
		promise: 'HTML, a gzip bomb, 100 MB of playlist: 502, memory bounded (16 MiB of text each)',
		fast: true,
		async run(bed, m) {
			const bomb = gzipSync(Buffer.alloc(300 << 20, '#'));
			const line = Buffer.from(`#EXTINF:2,\n${'s'.repeat(80)}.ts\n`.repeat(10_000));
			const { edge, link } = await relayOf(bed, (incoming, response) => {
				if (incoming.url.startsWith('/html')) return response.end('<html><body>Sign in</body></html>');
				if (incoming.url.startsWith('/bomb')) {
					response.writeHead(200, {
						'content-encoding': 'gzip',
						'content-length': bomb.length,
					});
					return response.end(bomb);
				}
				response.write('#EXTM3U\n#EXT-X-TARGETDURATION:2\n');
				let sent = 0;
				const more = () => {
					while (sent < 100 << 20 && !response.destroyed) {
						sent += line.length;
						if (!response.write(line)) return response.once('drain', more);
					}
					return response.end();
				};
				return more();
			});
			const before = edge.resources().rssMiB;
			let peak = 0;
			const sampling = setInterval(() => (peak = Math.max(peak, edge.resources().rssMiB)), 20);
			const got = {};
			for (const kind of ['html', 'bomb', 'huge']) {
				const answers = await Promise.all(
					Array.from({ length: 8 }, (_, n) =>
						request(link('/proxy', `/${kind}${n}.m3u8`), { timeout: 60_000 }),
					),
				);
				got[kind] = [...new Set(answers.map(({ status }) => status))].join();
			}
			clearInterval(sampling);
			m.all('answers', got, { html: '502', bomb: '502', huge: '502' });
			m.atMost('memory grew by MiB (8 at once)', peak - before, 8 * 2 * 16);
			m.equal('alive', (await request(`${edge.origin}/healthz`)).status, 200);
		},
	},
	{
		number: 17,
		name: '500-viewers-one-cold-segment',
		promise: 'one fetch; the first reader leaves, the others finish',
		fast: true,
		async run(bed, m) {
			const body = segmentBytes('cold', 188 * 5000);
			const { edge, link, requests } = await relayOf(bed, (incoming, response) => {
				response.writeHead(200, {
					'content-length': body.length,
					...SEGMENT_TYPE,
				});
				response.write(body.subarray(0, 100_000));
				setTimeout(() => response.end(body.subarray(100_000)), 1500);
			});
			const agent = bed.agent({ maxSockets: 600 });
			const url = link('/relay', '/cold.ts');
			const first = request(url, {
				agent: false,
				onHeader: (_, outgoing) => setTimeout(() => outgoing.destroy(), 200),
			});
			await eventually(async () => requests.length === 1, 'the fetch began');
			const others = await Promise.all(Array.from({ length: 500 }, () => request(url, { agent })));
			await first;
			m.equal('fetches', requests.length, 1);
			m.equal('whole', others.filter((answer) => answer.complete && answer.body.equals(body)).length, 500);
			m.note('memory MiB', edge.resources().rssMiB);
		},
	},
	{
		name: 'origin-drips-everything',
		promise: 'a source whose playlists and segments drip is left for the next within 12 s',
		async run(bed, m) {
			const { a, viewer } = await watchTwoSources(bed);
			const drip = (incoming, response) => {
				response.writeHead(200, { 'content-length': 100_000, ...SEGMENT_TYPE });
				const timer = setInterval(() => response.write('#'), 500);
				response.on('close', () => clearInterval(timer));
				return true;
			};
			[a.onPlaylist, a.onSegment] = [drip, drip];
			const ms = await viewer.untilSource('b', 60);
			m.within('the other source after s', ms / 1000, 12);
			await viewer.until(viewer.counts.segments + 3);
			m.viewers(await viewer.stop(), { stall: 6, skipped: 6 });
		},
	},
	{
		name: 'each-range-another-answer',
		promise: 'a body that is cut is never finished with bytes of another one',
		fast: true,
		async run(bed, m) {
			const body = segmentBytes('first', 188 * 2000);
			const other = segmentBytes('other', 188 * 2000);
			const half = body.length / 2;
			const range = (bytes, first, total = bytes.length) => ({
				status: 206,
				bytes: bytes.subarray(first),
				headers: {
					'content-range': `bytes ${first}-${bytes.length - 1}/${total}`,
				},
			});
			/** How each origin answers the request that resumes, which begins at `first`. */
			const resumptions = {
				'other-bytes': (first) => range(other, first),
				'other-length': (first) => range(body, first, body.length + 188),
				'other-offset': (first) => range(body, first + 188),
				'whole-other': () => ({ status: 200, bytes: other, headers: {} }),
				'changed-after-overlap': (first) =>
					range(Buffer.concat([body.subarray(0, half), other.subarray(half)]), first),
				same: (first) => range(body, first),
			};
			const { link, requests } = await relayOf(bed, (incoming, response) => {
				const name = incoming.url.slice(1, -3);
				if (!incoming.headers.range) {
					// Where bytes after the overlap differ, only a validator can tell.
					const etag = name === 'changed-after-overlap' ? { etag: '"one"' } : {};
					response.writeHead(200, {
						'content-length': body.length,
						...SEGMENT_TYPE,
						...etag,
					});
					return response.write(body.subarray(0, half), () => setTimeout(() => response.destroy(), 50));
				}
				const first = Number(/bytes=(\d+)/.exec(incoming.headers.range)[1]);
				if (name === 'changed-after-overlap' && incoming.headers['if-range'] === '"one"')
					return sendBytes({ headers: {} }, response, other, { etag: '"two"' });
				const { status, bytes, headers } = resumptions[name](first);
				response.writeHead(status, {
					'content-length': bytes.length,
					...SEGMENT_TYPE,
					...headers,
				});
				return response.end(bytes);
			});
			const got = {};
			for (const name of Object.keys(resumptions)) {
				const answer = await request(link('/relay', `/${name}.ts`));
				got[name] = !answer.complete ? 'aborted' : answer.body.equals(body) ? 'whole' : 'mixed';
			}
			m.all('answers', got, {
				'other-bytes': 'aborted',
				'other-length': 'aborted',
				'other-offset': 'aborted',
				'whole-other': 'aborted',
				'changed-after-overlap': 'aborted',
				same: 'whole',
			});
			m.note('requests', requests.length);
		},
	},
	{
		name: 'segment-changes-between-requests',
		promise: 'every viewer gets one whole version of it, never a mixture',
		fast: true,
		async run(bed, m) {
			let version = 0;
			const { edge, link } = await relayOf(
				bed,
				(incoming, response) => {
					version++;
					return sendBytes(incoming, response, segmentBytes(`version${version}`, 188 * 2000), SEGMENT_TYPE);
				},
				// Nothing is stored, so that each request is a fetch of its own.
				{ more: '[edge.cache]\nbytes = "0B"' },
			);
			const whole = await Promise.all(
				Array.from({ length: 40 }, (_, n) => request(link('/relay', `/${n % 4}.ts`))),
			);
			m.equal(
				'whole',
				whole.filter(({ complete, body }) => complete && readSegment(body).isWhole).length,
				40,
			);
			const parts = await Promise.all(
				Array.from({ length: 20 }, (_, n) =>
					request(link('/relay', `/${n % 4}.ts`), {
						headers: { range: 'bytes=188-1127' },
					}),
				),
			);
			const one = parts.filter(({ status, complete, body }) => {
				const labels = new Set(
					[0, 188, 376, 564, 752].map((at) => body.subarray(at + 4, at + 20).toString()),
				);
				return status === 206 && complete && body.length === 940 && labels.size === 1;
			});
			m.equal('ranges of one version', one.length, 20);
			m.note('memory MiB', edge.resources().rssMiB);
		},
	},
	{
		name: 'numbers-at-the-edge',
		promise: 'numbers near 2^53 play on exactly; those of which none can follow are refused, never wrapped',
		fast: true,
		async run(bed, m) {
			const first = BigInt(2 ** 53) - 3n;
			const source = await startSource(bed, { target: 1 });
			const from = source.newest();
			source.alterPlaylist = (text) =>
				text.replace(
					/MEDIA-SEQUENCE:(\d+)/,
					(_, number) => `MEDIA-SEQUENCE:${first + BigInt(number) - BigInt(from)}`,
				);
			const edge = await bed.started(config({ source: sourceSection(source) }));
			await edge.untilHealthy();
			// JavaScript cannot count there, so the numbers are read as text.
			let last = 0n;
			const wrong = [];
			for (let polls = 0; polls < 60 && last <= BigInt(2 ** 53) + 2n; polls++) {
				const answer = await request(`${edge.origin}/live/world-feed/v.m3u8`);
				const text = answer.body.toString();
				const number = BigInt(/MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? -1);
				if (answer.status !== 200 || number < last) wrong.push(`${answer.status} ${number} after ${last}`);
				const paths = [...text.matchAll(/\/v\/(\d+)\.ts/g)].map(([, at]) => BigInt(at));
				if (paths.some((at, index) => at !== number + BigInt(index))) wrong.push(`${paths} from ${number}`);
				last = number;
				await pause(500);
			}
			m.equal('wrong near 2^53', wrong, []);
			m.equal('went beyond 2^53', last > BigInt(2 ** 53), true);
			const { link, edge: second } = await relayOf(bed, (incoming, response) => {
				const number = incoming.url.slice(1, -5);
				const text = `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:${number}\n#EXTINF:2,\na.ts\n#EXTINF:2,\nb.ts\n#EXTINF:2,\nc.ts\n`;
				sendBytes(incoming, response, Buffer.from(text), {
					'content-type': 'application/vnd.apple.mpegurl',
				});
			});
			const got = {};
			for (const number of [2n ** 64n - 1n, 2n ** 64n, 10n ** 30n, 2n ** 63n]) {
				const answer = await request(link('/proxy', `/${number}.m3u8`));
				got[number] =
					answer.status === 502 || (answer.status === 200 && answer.body.toString().includes(`:${number}\n`))
						? 'refused or unchanged'
						: answer.status;
			}
			m.all(
				'of /proxy',
				got,
				Object.fromEntries(Object.keys(got).map((number) => [number, 'refused or unchanged'])),
			);
			m.equal('alive', (await request(`${second.origin}/healthz`)).status, 200);
			const extreme = await startSource(bed, { name: 'extreme', target: 1 });
			extreme.alterPlaylist = (text) =>
				text.replace(/MEDIA-SEQUENCE:\d+/, `MEDIA-SEQUENCE:${2n ** 64n - 2n}`);
			const third = await bed.started(config({ source: sourceSection(extreme) }), { name: 'extreme' });
			let steps = 0;
			let before = 0n;
			for (let polls = 0; polls < 6; polls++) {
				const answer = await request(`${third.origin}/live/world-feed/v.m3u8`);
				const number = BigInt(/MEDIA-SEQUENCE:(\d+)/.exec(answer.body.toString())?.[1] ?? before);
				if (number < before) steps++;
				before = number;
				await pause(300);
			}
			m.equal('steps back at 2^64 - 2', steps, 0);
			m.equal(
				'panics',
				/panicked/.test(third.child.output() + second.child.output() + edge.child.output()),
				false,
			);
		},
	},
];
