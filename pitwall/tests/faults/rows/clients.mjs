// Faults of clients: idle, slow, hostile.
import net from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { startProcess } from '../../../../frontend/e2e/support/process.mjs';
import { config, need } from '../bed.mjs';
import { newAgent, pause, quantile, request, sendRaw } from '../client.mjs';
import { frame, hpackBomb } from '../http2.mjs';
import { relayBed, tlsBed } from '../relay.mjs';
import { sourceSection, startSource } from '../source.mjs';

/** Reads a whole response of a session: status and length of the body; the length is -1 where it was cut. */
function readStream(session, path) {
	return new Promise((resolve) => {
		const stream = session.request({ ':path': path });
		let [status, length, done] = [0, 0, false];
		stream.on('response', (headers) => (status = headers[':status']));
		stream.on('data', (chunk) => (length += chunk.length));
		stream.on('end', () => (done = true));
		stream.on('error', () => undefined);
		stream.on('close', () => resolve({ status, length: done && stream.rstCode === 0 ? length : -1 }));
		stream.end();
	});
}

const SLOW_READERS = fileURLToPath(new URL('../slow-readers.mjs', import.meta.url));

const CRLF = '\r\n';
/** Requests whose framing is ambiguous or broken. `@` is the path of a link that the origin would answer. */
const MALFORMED = {
	'plus in the length': `GET @ HTTP/1.1|Host: x|Content-Length: +1||a`,
	'two lengths': `GET @ HTTP/1.1|Host: x|Content-Length: 1|Content-Length: 2||ab`,
	'length and chunked': `POST @ HTTP/1.1|Host: x|Content-Length: 4|Transfer-Encoding: chunked||0||`,
	'chunked in HTTP/1.0': `POST @ HTTP/1.0|Host: x|Transfer-Encoding: chunked||0||`,
	'unknown transfer coding': `POST @ HTTP/1.1|Host: x|Transfer-Encoding: gzip||`,
	'chunked twice': `POST @ HTTP/1.1|Host: x|Transfer-Encoding: chunked, chunked||0||`,
	'bad chunk': `POST @ HTTP/1.1|Host: x|Transfer-Encoding: chunked||zz|ab||`,
	'two hosts': `GET @ HTTP/1.1|Host: x|Host: y||`,
	'no host': `GET @ HTTP/1.1||`,
	'NUL in a field': `GET @ HTTP/1.1|Host: x|X-A: a\0b||`,
	'CR in a field': `GET @ HTTP/1.1|Host: x|X-A: a\rb||`,
	'space before the colon': `GET @ HTTP/1.1|Host: x|X-A : b||`,
	'folded field': `GET @ HTTP/1.1|Host: x|X-A: b| c||`,
	'no version': `GET @|Host: x||`,
	'version 9': `GET @ HTTP/9.9|Host: x||`,
	'bytes of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03||',
	garbage: '\x00\xff\xfe garbage||||',
};
const raw = (text, path) => Buffer.from(text.replaceAll('|', CRLF).replace('@', path), 'latin1');

export const CLIENT_ROWS = [
	{
		number: 33,
		name: '10000-idle-connections',
		promise:
			'10 000 idle viewers and 200 slow ones: the p99 of those who are active is below 1.5 times what it was, each segment is fetched once; memory capped (40 KiB for each idle one, and the cache)',
		async run(bed, m) {
			const { edge, path, requests } = await relayBed(bed, { more: '[edge.cache]\nbytes = "64MiB"' });
			const [agents, packets] = [Array.from({ length: 5 }, () => newAgent()), 100];
			bed.after(() => agents.forEach((agent) => agent.destroy()));
			let segment = 0;
			/** Viewers who ask for the same new segment at once, one segment after the other. */
			const active = async () => {
				const times = [];
				for (let n = 0; n < 500; n++) {
					const url = edge.origin + path(`${packets}.ts?${segment++}`);
					const answers = await Promise.all(agents.map((agent) => request(url, { agent })));
					times.push(...answers.filter(({ status }) => status === 200).map(({ ms }) => ms));
				}
				return times;
			};
			await active();
			const before = await active();
			const memory = edge.resources().rssMiB;
			const sockets = [];
			bed.after(() => sockets.forEach((socket) => socket.destroy()));
			const open = () =>
				new Promise((resolve) => {
					const socket = net.connect(edge.port, '127.0.0.1');
					socket.once('data', () => resolve(true));
					socket.on('error', () => resolve(false));
					socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
					sockets.push(socket);
				});
			let opened = 0;
			for (let batch = 0; batch < 100; batch++)
				opened += (await Promise.all(Array.from({ length: 100 }, open))).filter(Boolean).length;
			need(opened > 9900 || edge.resources().openFiles < 1000, 'an open-file limit above 12 000');
			// 5 MB at 64 KiB/s, which no deadline ends.
			const targets = Array.from({ length: 4 }, (_, n) => path(`26600.ts?slow${n}`));
			const readers = startProcess(process.execPath, [SLOW_READERS, String(edge.port), '200', ...targets]);
			bed.after(() => readers.stop('SIGKILL'));
			await readers.untilOutput(/reading/);
			const during = await active();
			m.atLeast('idle and slow connections', edge.resources().openFiles, 10_200);
			m.equal('answers', before.length + during.length, 2 * 2500);
			const p99 = quantile(before, 0.99);
			m.note('p99 ms before', p99);
			m.atMost('during', quantile(during, 0.99), Math.max(1.5 * p99, p99 + 1));
			m.note('median ms before', quantile(before, 0.5));
			m.note('median during', quantile(during, 0.5));
			m.equal('segments fetched twice', requests.length - new Set(requests).size, 0);
			m.atMost('memory MiB more', edge.resources().rssMiB - memory, 400 + 64);
		},
	},
	{
		number: 34,
		name: 'slowloris',
		promise: 'closed at the header deadline, whatever drips; a viewer notices nothing',
		fast: true,
		async run(bed, m) {
			const source = await startSource(bed);
			const edge = await bed.started(
				config({
					source: sourceSection(source),
					more: '[edge.limits]\nheader = "2s"',
				}),
			);
			await edge.untilHealthy();
			const viewer = edge.viewer();
			await viewer.until(2);
			const drip = (start, byte) =>
				new Promise((resolve) => {
					const began = performance.now();
					const socket = net.connect(edge.port, '127.0.0.1', () => socket.write(start));
					const timer = setInterval(() => socket.writable && socket.write(byte), 300);
					socket.on('error', () => undefined).on('data', () => undefined);
					socket.on('close', () => {
						clearInterval(timer);
						resolve((performance.now() - began) / 1000);
					});
				});
			const starts = [
				['GET / HTTP/1.1\r\nHost: x\r\n', 'X-A: b\r\n'],
				['GET / HTTP/1.1\r\nHo', 's'],
				['G', 'E'],
				['', '\r\n'],
			];
			const times = await Promise.all(
				Array.from({ length: 200 }, (_, n) => drip(...starts[n % starts.length])),
			);
			m.within('closed after s (deadline 2)', Math.max(...times), 3);
			m.viewers(await viewer.stop());
		},
	},
	{
		name: 'slow-read',
		promise: 'who does not read is closed at the write deadline (80 s); others are served meanwhile',
		timeout: 150,
		async run(bed, m) {
			const { edge, path } = await relayBed(bed);
			const closed = Array.from(
				{ length: 20 },
				(_, n) =>
					new Promise((resolve) => {
						const began = performance.now();
						const socket = net.connect(edge.port, '127.0.0.1', () => {
							socket.pause();
							socket.write(`GET ${path(`60000-${n}.ts`)} HTTP/1.1\r\nHost: x\r\n\r\n`);
						});
						// Without reading, the end shows only when the kernel refuses a write.
						const probe = setInterval(() => socket.write('\r\n'), 1000);
						socket.on('error', () => undefined);
						socket.on('close', () => {
							clearInterval(probe);
							resolve((performance.now() - began) / 1000);
						});
					}),
			);
			await readers.untilOutput(/reading/);
			const others = await Promise.all(
				Array.from({ length: 50 }, (_, n) => request(edge.origin + path(`500-${n}.ts`))),
			);
			m.equal('others whole', others.filter(({ complete }) => complete).length, 50);
			m.within('slowest of them ms', Math.max(...others.map(({ ms }) => ms)), 3000);
			m.within('all closed after s', Math.max(...(await Promise.all(closed))), 100);
			m.note('memory MiB', edge.resources().rssMiB);
		},
	},
	{
		name: 'http2-viewer-does-not-read',
		promise: 'other streams of its connection, and other viewers, are served whole; memory stays',
		fast: true,
		async run(bed, m) {
			const { edge, connect, path } = await tlsBed(bed);
			const session = connect();
			const before = edge.resources().rssMiB;
			const stalled = session.request({ ':path': path('40000.ts') });
			stalled.on('error', () => undefined);
			await new Promise((resolve) => stalled.once('response', resolve));
			const same = await Promise.all([0, 1, 2].map((n) => readStream(session, path(`4000-${n}.ts`))));
			const others = connect();
			const object = await readStream(others, path('40000.ts'));
			m.equal(
				'other streams of the connection',
				same.filter(({ status, length }) => status === 200 && length === 188 * 4000).length,
				3,
			);
			m.equal('the same object elsewhere', object.length, 188 * 40_000);
			m.atMost('memory MiB more', edge.resources().rssMiB - before, 64);
			const rest = await new Promise((resolve) => {
				let length = 0;
				stalled.on('data', (chunk) => (length += chunk.length));
				stalled.on('close', () => resolve(length));
				stalled.resume();
			});
			m.equal('and once it reads', rest, 188 * 40_000);
		},
	},
	{
		number: 35,
		name: 'header-bombs',
		promise: '431, or the connection ends; memory stays',
		fast: true,
		async run(bed, m) {
			const { edge, authority } = await tlsBed(bed);
			const before = edge.resources().rssMiB;
			const options = {
				ca: authority.certificate,
				servername: 'localhost',
				timeout: 5000,
			};
			const url = `https://localhost:${edge.port}/healthz`;
			const got = {
				'40 KB': (
					await request(url, {
						...options,
						headers: { 'x-large': 'a'.repeat(40_000) },
					})
				).status,
				'200 fields': (
					await request(url, {
						...options,
						headers: Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-${n}`, '1'])),
					})
				).status,
			};
			m.all('HTTP/1.1', got, { '40 KB': 431, '200 fields': 431 });
			let answered = 0;
			await Promise.all(
				Array.from(
					{ length: 8 },
					() =>
						new Promise((resolve) => {
							const socket = tls.connect(
								{
									port: edge.port,
									host: 'localhost',
									servername: 'localhost',
									ca: authority.certificate,
									ALPNProtocols: ['h2'],
								},
								() => {
									socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
									socket.write(frame(4, 0, 0, Buffer.alloc(0)));
									for (let stream = 1; stream < 40; stream += 2)
										socket.write(frame(1, 5, stream, hpackBomb(11_000)));
								},
							);
							socket.on('data', () => answered++);
							socket.on('error', () => undefined);
							const timer = setTimeout(() => socket.destroy(), 3000);
							socket.on('close', () => {
								clearTimeout(timer);
								resolve(undefined);
							});
						}),
				),
			);
			m.note('answered', answered > 0 ? 'with frames' : 'nothing');
			m.atMost('memory MiB more after 7 GB of fields', edge.resources().rssMiB - before, 64);
			m.equal('alive', (await request(url, options)).status, 200);
		},
	},
	{
		number: 36,
		name: 'malformed-framing',
		promise: '400 and closed, one answer, nothing reaches the origin',
		fast: true,
		async run(bed, m) {
			const { edge, requests, path } = await relayBed(bed);
			const got = {};
			const expected = {};
			for (const [name, text] of Object.entries(MALFORMED)) {
				const answer = await sendRaw(edge.port, raw(text, path('10.ts')));
				const isRefused =
					answer.closed &&
					answer.statuses.length <= 1 &&
					[0, 400, 405, 413, 501, 505].includes(answer.status);
				got[name] = isRefused ? 'refused' : `${answer.statuses} ${answer.closed ? 'closed' : 'open'}`;
				expected[name] = 'refused';
			}
			m.all('requests', got, expected);
			m.equal('at the origin', requests.length, 0);
			const smuggled = await sendRaw(
				edge.port,
				raw(
					`POST @ HTTP/1.1|Host: x|Content-Length: 6|Transfer-Encoding: chunked||0||GET /healthz HTTP/1.1|Host: x||`,
					path('10.ts'),
				),
			);
			m.atMost('answers to one that hides another', smuggled.statuses.length, 1);
			m.equal('alive', (await request(`${edge.origin}/healthz`)).status, 200);
		},
	},
	{
		number: 38,
		name: 'cache-at-its-limit',
		promise: '64 streams through a cache of 16 MiB: evicts, keeps within it, cuts nothing',
		fast: true,
		async run(bed, m, { isFast }) {
			const { edge, path } = await relayBed(bed, {
				more: '[edge.cache]\nbytes = "16MiB"\nfill_bytes = "16MiB"',
			});
			const before = edge.resources().rssMiB;
			let [peak, cached, whole, all] = [0, 0, 0, 0];
			const failures = new Set();
			const sampling = setInterval(() => (peak = Math.max(peak, edge.resources().rssMiB)), 50);
			for (let number = 0; number < (isFast ? 4 : 20); number++) {
				const answers = await Promise.all(
					Array.from({ length: 64 }, (_, stream) =>
						request(edge.origin + path(`5000-${stream}-${number}.ts`)),
					),
				);
				all += answers.length;
				const cut = answers.filter(({ complete, body }) => !complete || body.length !== 188 * 5000);
				whole += answers.length - cut.length;
				for (const { status, error, body } of cut)
					failures.add(`${status} ${error ?? ''} ${body.length} bytes`);
				cached = Math.max(cached, await edge.metric(/^pitwall_cache_bytes/));
			}
			clearInterval(sampling);
			m.atLeast('whole', whole, all * 0.9);
			m.equal('cut', [...failures].filter((failure) => failure.startsWith('200')).length, 0);
			if (failures.size > 0) m.note('others', [...failures].slice(0, 3).join('; '));
			m.atMost('cached MiB', cached / 2 ** 20, 16);
			m.atLeast('cached at all MiB', cached / 2 ** 20, 8);
			m.atMost('memory MiB more', peak - before, 16 + 16 + 64);
		},
	},
];
