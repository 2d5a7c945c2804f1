// Attacks with HTTP/2 that are known from other servers, in sizes that are harmless: each is bounded, and aimed at the
// edge of the row alone.
import { cpuSeconds } from '../bed.mjs';
import { pause, plainLink, quantile, request } from '../client.mjs';
import {
	END_HEADERS,
	END_STREAM,
	TYPE,
	frame,
	getFrame,
	hpackField,
	hpackIndexedField,
	hpackTableSize,
	openHttp2,
	requestBlock,
	setting,
	uint32,
} from '../http2.mjs';
import { tlsBed } from '../relay.mjs';
import { startSource } from '../source.mjs';

/** An edge with TLS, `open` for connections to it, and `polls` for a viewer who polls a playlist beside them. */
async function http2Bed(bed, more) {
	const source = await startSource(bed);
	const relay = await tlsBed(bed, { others: [source.base], more });
	const ca = relay.authority.certificate;
	const open = async (options) => {
		const connection = await openHttp2(relay.edge.port, ca, options);
		bed.after(() => connection.destroy());
		return connection;
	};
	const get = (path) => request(`https://localhost:${relay.edge.port}${path}`, { ca });
	const inFlight = () => relay.edge.metric(/^pitwall_http_requests_in_flight/);
	return { ...relay, open, get, inFlight, playlist: plainLink('/proxy', source.url) };
}

/** How often the viewer beside an attack polls, in milliseconds. */
const POLL_INTERVAL = 50;
/** How long the processor time of the edge is measured once an attack is over, in milliseconds. */
const QUIET_TIME = 500;

/**
 * Attacks, and measures what another viewer and the machine notice: polls of a playlist every 50 ms, resident memory, and
 * the processor time that the edge still takes when the attack is over.
 */
async function underAttack(m, { edge, get, playlist }, attack) {
	await get(playlist);
	const before = edge.resources().rssMiB;
	let [peak, isOver] = [before, false];
	const [times, failures] = [[], new Set()];
	const polls = (async () => {
		while (!isOver) {
			const { status, ms, error } = await get(playlist);
			times.push(ms);
			if (status !== 200) failures.add(error ?? status);
			peak = Math.max(peak, edge.resources().rssMiB);
			await pause(POLL_INTERVAL);
		}
	})();
	await attack();
	isOver = true;
	await polls;
	const cpu = cpuSeconds(edge.child.pid);
	await pause(QUIET_TIME);
	const used = ((cpuSeconds(edge.child.pid) - cpu) * 100_000) / QUIET_TIME;
	m.equal('polls of another viewer that failed', [...failures], []);
	m.atLeast('polls', times.length, 5);
	m.within('p99 ms', quantile(times, 0.99), 300);
	m.atMost('memory MiB more', peak - before, 64);
	m.atMost('processor % afterwards', used, 20);
	m.equal('alive', (await get('/healthz')).status, 200);
}

const repeated = (bytes, times) => Buffer.concat(Array(times).fill(bytes));
const postStart = frame(TYPE.HEADERS, END_HEADERS, 1, requestBlock('/api/cmcd', { isPost: true }));

/** How many frames a flood has. */
const FLOOD = 5000;
/** What no client sends: the bytes after the preface, each of which ends the connection. */
const FLOODS = {
	SETTINGS: repeated(frame(TYPE.SETTINGS, 0, 0, setting(3, 100)), FLOOD),
	'acknowledged SETTINGS': repeated(frame(TYPE.SETTINGS, 1, 0, Buffer.alloc(0)), FLOOD),
	PING: repeated(frame(TYPE.PING, 0, 0, Buffer.alloc(8)), FLOOD),
	PRIORITY: repeated(frame(TYPE.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 3, 1])), FLOOD),
	WINDOW_UPDATE: repeated(frame(TYPE.WINDOW_UPDATE, 0, 0, uint32(1)), FLOOD),
	'frames of an unknown type': repeated(frame(99, 0, 0, Buffer.alloc(8)), FLOOD),
	'DATA of one byte': Buffer.concat([
		postStart,
		repeated(frame(TYPE.DATA, 0, 1, Buffer.from('{')), 3 * FLOOD),
	]),
	'DATA of padding': Buffer.concat([
		postStart,
		repeated(frame(TYPE.DATA, 8, 1, Buffer.from([8, 0, 0, 0, 0, 0, 0, 0, 0])), 3 * FLOOD),
	]),
	CONTINUATION: Buffer.concat([
		frame(TYPE.HEADERS, END_STREAM, 1, requestBlock('/healthz')),
		repeated(frame(TYPE.CONTINUATION, 0, 1, hpackField('x', 'y')), FLOOD),
	]),
	'empty CONTINUATION': Buffer.concat([
		frame(TYPE.HEADERS, END_STREAM, 1, requestBlock('/healthz')),
		repeated(frame(TYPE.CONTINUATION, 0, 1, Buffer.alloc(0)), FLOOD),
	]),
	'a table of 1 GiB': tableOf(2 ** 30),
	'a window beyond 2^31': repeated(frame(TYPE.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1)), 2),
	'a frame beyond its size': frame(TYPE.DATA, 0, 1, Buffer.alloc(20_000)),
	'DATA without a stream': frame(TYPE.DATA, 0, 1, Buffer.alloc(1)),
	'a stream of the server': getFrame(2, '/healthz'),
	'trailers without an end': Buffer.concat([
		postStart,
		repeated(frame(TYPE.HEADERS, END_HEADERS, 1, hpackField('x', 'y')), FLOOD),
	]),
	'requests that are malformed': Buffer.concat(
		Array.from({ length: 200 }, (_, n) => getFrame(2 * n + 1, '/healthz', [hpackField('Upper', 'x')])),
	),
};

function tableOf(bytes) {
	const block = Buffer.concat([hpackTableSize(bytes), requestBlock('/healthz')]);
	return frame(TYPE.HEADERS, END_STREAM | END_HEADERS, 1, block);
}

/** What a busy player may send: its connection stays. */
const USUAL = {
	'windows for a hundred streams': repeated(frame(TYPE.WINDOW_UPDATE, 0, 0, uint32(1000)), 300),
	'a table of no bytes': tableOf(0),
	'requests with new fields': Buffer.concat(
		Array.from({ length: 90 }, (_, n) =>
			getFrame(2 * n + 1, '/healthz', [hpackIndexedField(`x-${n}`, 'y'.repeat(3000))]),
		),
	),
	'ten resets': Buffer.concat(
		Array.from({ length: 10 }, (_, n) =>
			Buffer.concat([getFrame(2 * n + 1, '/healthz'), frame(TYPE.RST_STREAM, 0, 2 * n + 1, uint32(8))]),
		),
	),
};

export const HTTP2_ROWS = [
	{
		name: 'http2-floods',
		promise:
			'floods of SETTINGS, PING, PRIORITY, WINDOW_UPDATE, CONTINUATION and small DATA frames, HPACK tables and malformed frames end their connection; others notice nothing',
		fast: true,
		async run(bed, m) {
			const http2 = await http2Bed(bed);
			const [got, expected] = [{}, {}];
			const endsOf = async (name, bytes, wanted, options) => {
				const connection = await http2.open(options);
				const isSent = await connection.send(bytes);
				const isEnded = await connection.isEnded(wanted === 'ended' ? 3 : 0.3);
				got[name] = isEnded ? 'ended' : isSent ? 'open' : 'blocked';
				expected[name] = wanted;
				connection.destroy();
			};
			await underAttack(m, http2, async () => {
				await Promise.all([
					...Object.entries(FLOODS).map(([name, bytes]) => endsOf(name, bytes, 'ended')),
					...Object.entries(USUAL).map(([name, bytes]) => endsOf(name, bytes, 'open')),
				]);
			});
			m.all('connections', got, expected);
		},
	},
	{
		name: 'http2-rapid-reset',
		promise:
			'requests that are reset at once are not worked on, and so many of them end the connection; one connection has at most 100 requests',
		fast: true,
		async run(bed, m) {
			const http2 = await http2Bed(bed);
			const { open, path, inFlight, requests, waiting } = http2;
			const silentGet = (n) => getFrame(2 * n + 1, path(`silent-${n}.ts`));
			const reset = (n) => frame(TYPE.RST_STREAM, 0, 2 * n + 1, uint32(8));
			let most = 0;
			const sample = async () => (most = Math.max(most, await inFlight()));
			await underAttack(m, http2, async () => {
				// Reset before they are begun, and after it.
				const atOnce = await open();
				const numbers = Array.from({ length: 2000 }, (_, n) => n);
				await atOnce.send(Buffer.concat(numbers.flatMap((n) => [silentGet(n), reset(n)])));
				m.equal('resets at once ended', await atOnce.isEnded(3), true);
				const begun = await open();
				for (let n = 0; n < 2000 && !begun.isClosed; n += 50) {
					const fifty = numbers.slice(n, n + 50);
					await begun.send(Buffer.concat(fifty.map(silentGet)));
					await pause(10);
					await sample();
					await begun.send(Buffer.concat(fifty.map(reset)));
				}
				m.equal('resets of what has begun ended', await begun.isEnded(3), true);
				await sample();
				// As many streams as one connection may have, and many more.
				const streams = await open();
				const gets = Array.from({ length: 1000 }, (_, n) => getFrame(2 * n + 1, path('silent-x.ts')));
				await streams.send(Buffer.concat(gets));
				await pause(300);
				await sample();
				m.equal('streams refused', streams.errors.filter((code) => code === 7).length, 900);
				streams.destroy();
				// Connections that are left with all that they have asked for.
				for (let n = 0; n < 10; n++) {
					const left = await open();
					await left.send(Buffer.concat(gets.slice(0, 100)));
					await pause(30);
					left.destroy();
				}
				await pause(500);
			});
			m.atMost('requests in flight at once', most, 110);
			m.atMost('in flight afterwards', await inFlight(), 1);
			m.atMost('requests to the origin', requests.length, 1100);
			m.note('open at the origin', waiting());
		},
	},
	{
		name: 'http2-slow-read',
		promise:
			'1 500 streams that read a byte at a time, or nothing: memory is that of the cache (128 MiB) and 128 KiB for each of them, others are served, each is reset at the write deadline (80 s)',
		timeout: 200,
		async run(bed, m) {
			const cache = '[edge.cache]\nbytes = "64MiB"\nfill_bytes = "64MiB"\n';
			const { edge, open, path, get, inFlight } = await http2Bed(bed, cache);
			const before = edge.resources().rssMiB;
			const began = performance.now();
			/** A hundred streams of a connection, each for another object of so many packets. */
			const gets = (connection, packets) =>
				Buffer.concat(
					Array.from({ length: 100 }, (_, n) =>
						getFrame(2 * n + 1, path(`${packets}-${connection}-${n}.ts`)),
					),
				);
			const connections = Array.from({ length: 15 }, async (_, n) => {
				// Objects of 5 MB through a window of a byte, or of 376 KB through all windows to a socket that is not read.
				const isTiny = n % 3 === 0;
				const settings = [setting(4, isTiny ? 1 : 2 ** 31 - 1)];
				const connection = await open({ settings, reads: isTiny });
				if (!isTiny) await connection.send(frame(TYPE.WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 70_000)));
				await connection.send(gets(n, isTiny ? 27_000 : 2000));
			});
			await Promise.all(connections);
			let peak = 0;
			const sampling = setInterval(() => (peak = Math.max(peak, edge.resources().rssMiB)), 100);
			await pause(10_000);
			const others = await Promise.all(Array.from({ length: 20 }, (_, n) => get(path(`500-${n}.ts`))));
			m.equal('others whole', others.filter(({ complete }) => complete).length, 20);
			m.within('slowest of them ms', Math.max(...others.map(({ ms }) => ms)), 3000);
			while ((await inFlight()) > 1 && performance.now() - began < 150_000) await pause(500);
			clearInterval(sampling);
			m.within('all reset after s', (performance.now() - began) / 1000, 120);
			m.atMost('memory MiB more', peak - before, 128 + (15 * 100) / 8);
			m.equal('alive', (await get('/healthz')).status, 200);
		},
	},
];
