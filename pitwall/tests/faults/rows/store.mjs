// Faults of Redis.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { startProcess } from '../../../../frontend/e2e/support/process.mjs';
import { ADMIN_TOKEN, config, eventually, freePort } from '../bed.mjs';
import { getJson, pause, quantile, request } from '../client.mjs';
import { startCluster } from '../cluster.mjs';
import { sourceSection, startSource } from '../source.mjs';

const MAP = '{pitwall}:map';
const CHANGES = '{pitwall}:news';
const bulk = (reply) => Buffer.from(reply.slice(reply.indexOf('\r\n') + 2, -2), 'latin1');

/** A cluster, and a viewer at its first edge. */
async function watchCluster(bed, options = {}) {
	const cluster = await startCluster(bed, options);
	const viewer = cluster.edge.viewer();
	await viewer.until(3);
	return { ...cluster, viewer };
}

/** An operator's switch of the stream at an edge: status, milliseconds and the answer. */
async function switchTo(edge, source) {
	const { status, ms, body } = await request(`${edge.origin}/api/streams/world-feed/switch`, {
		method: 'POST',
		headers: {
			authorization: `Bearer ${ADMIN_TOKEN}`,
			'content-type': 'application/json',
		},
		body: JSON.stringify({ source }),
	});
	return { status, ms, answer: JSON.parse(body.toString()) };
}

const activeSource = async (edge) =>
	(await getJson(`${edge.origin}/api/streams/world-feed/explain`)).upstreams.find(({ active }) => active)
		?.source;

const untilActive = (edge, source) =>
	eventually(async () => (await activeSource(edge)) === source, `${edge.name} plays ${source}`, 40);

/** Waits until a new viewer at this edge plays the source. */
async function viewerOf(edge, source) {
	const viewer = edge.viewer();
	await viewer.untilSource(source);
	return viewer.stop();
}

/** Takes Redis away, and gives it back. */
const WAYS_TO_BE_AWAY = {
	hangs: [(redis) => redis.signal('SIGSTOP'), (redis) => redis.signal('SIGCONT')],
	gone: [(redis) => redis.stop(), (redis) => redis.start()],
};

export const STORE_ROWS = [
	{
		number: 25,
		name: 'redis-down-at-start',
		faultOf: 'store',
		promise: 'boots from the snapshot and plays; without one alive, not ready',
		fast: true,
		async run(bed, m) {
			const { redis, control, edge } = await startCluster(bed);
			// The snapshot is written every five seconds.
			await edge.stop('SIGTERM');
			await control.kill();
			await redis.stop();
			m.within('ready from disk s', (await edge.start()) / 1000, 2);
			const viewer = edge.viewer();
			await viewer.until(3);
			m.viewers(await viewer.stop(), { segments: 3 });
			const bare = await bed.pitwall(config({ store: redis.port }), {
				role: 'proxy',
				name: 'bare',
			});
			bare.spawn();
			await eventually(async () => (await request(`${bare.origin}/healthz`)).status === 200, 'it lives');
			m.equal('without a snapshot: healthz', (await request(`${bare.origin}/healthz`)).status, 200);
			m.equal('readyz', (await request(`${bare.origin}/readyz`)).status, 503);
		},
	},
	{
		number: 26,
		name: 'redis-dies-and-returns',
		faultOf: 'store',
		promise: 'zero 5xx; reconnects by itself, and everything is read again',
		fast: true,
		async run(bed, m, { isFast }) {
			const { redis, edge, viewer, control } = await watchCluster(bed);
			const rounds = isFast ? 1 : 4;
			const back = [];
			for (let round = 0; round < rounds; round++) {
				await redis.stop();
				await eventually(
					async () => (await edge.metric(/^pitwall_store_connected/)) === 0,
					'the loss is noticed',
				);
				await pause(2000);
				await redis.start();
				const began = performance.now();
				await eventually(
					async () => (await edge.metric(/^pitwall_store_connected/)) === 1,
					'connected again',
				);
				// The leader writes the map into the empty Redis.
				await eventually(
					async () => !(await redis.command('EXISTS', MAP)).startsWith(':0'),
					'the map is there again',
				);
				back.push((performance.now() - began) / 1000);
			}
			m.within('map there again after s', Math.max(...back), 15);
			const version = await control.metric(/^pitwall_map_version/);
			await eventually(
				async () => (await edge.metric(/^pitwall_edge_map_version/)) >= version,
				'the edge has it',
			);
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 27,
		name: 'redis-2-s-slow',
		faultOf: 'store',
		promise: 'the p99 of requests is unchanged (one request may wait 150 ms)',
		fast: true,
		async run(bed, m, { isFast }) {
			let proxy;
			const { edge, viewer } = await watchCluster(bed, {
				via: async (port) => (proxy = await bed.slowProxy(port)).port,
			});
			const seconds = isFast ? 5 : 20;
			const measure = async () => {
				const from = viewer.counts.pollMs.length;
				const times = [];
				const end = performance.now() + seconds * 1000;
				while (performance.now() < end) {
					times.push((await request(`${edge.origin}/live/world-feed/v.m3u8`)).ms);
					await pause(20);
				}
				return quantile([...times, ...viewer.counts.pollMs.slice(from)], 0.99);
			};
			const before = await measure();
			proxy.delay = 2000;
			const during = await measure();
			m.note('p99 ms before', before);
			m.atMost('during', during, Math.max(150, before * 2));
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 28,
		name: 'redis-flushed',
		faultOf: 'store',
		promise: 'empty is not "delete all": the last map stays, and is written again',
		fast: true,
		async run(bed, m) {
			const { redis, edge, control, viewer } = await watchCluster(bed);
			await redis.command('FLUSHALL');
			await eventually(
				async () => !(await redis.command('EXISTS', MAP)).startsWith(':0'),
				'the leader writes it again',
				30,
			);
			m.equal('streams', (await edge.streams()).length, 1);
			// Nobody is left who could write it again.
			await control.kill();
			await redis.command('FLUSHALL');
			await redis.command('PUBLISH', CHANGES, 'x');
			await pause(3000);
			m.equal('streams without a control plane', (await edge.streams()).length, 1);
			m.equal('ready', (await request(`${edge.origin}/readyz`)).status, 200);
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 29,
		name: 'redis-holds-garbage',
		faultOf: 'store',
		promise: 'a corrupt, forged or older map is rejected and counted; playback goes on',
		fast: true,
		async run(bed, m) {
			const { redis, edge, control, viewer } = await watchCluster(bed);
			const rejected = async () => {
				const total = await edge.metric(/^pitwall_store_rejected_total/);
				return Number.isNaN(total) ? 0 : total;
			};
			const old = bulk(await redis.command('DUMP', MAP));
			// A second source is a change, so that the saved map is an older one.
			await control.stop('SIGTERM');
			await control.start();
			await eventually(async () => (await control.metric(/^pitwall_leader/)) === 1, 'it leads');
			await pause(3000);
			const current = bulk(await redis.command('DUMP', MAP));
			await control.kill();
			const version = await edge.metric(/^pitwall_edge_map_version/);
			const fields = bulk(await redis.command('HGET', MAP, 'version')).toString();
			const forgeries = {
				'bytes flipped': async () => {
					await redis.command('HSET', MAP, 'head', 'garbage', 'version', `${BigInt(fields) + 10n}`);
				},
				'entry forged': async () => {
					await redis.command('RESTORE', MAP, '0', current, 'REPLACE');
					await redis.command(
						'HSET',
						MAP,
						'stream:world-feed',
						'forged',
						'version',
						`${BigInt(fields) + 20n}`,
					);
				},
				'version forged': async () => {
					await redis.command('RESTORE', MAP, '0', current, 'REPLACE');
					await redis.command('HSET', MAP, 'version', `${BigInt(fields) + 1_000_000n}`);
				},
				older: () => redis.command('RESTORE', MAP, '0', old, 'REPLACE'),
				'of another type': async () => {
					await redis.command('DEL', MAP);
					await redis.command('LPUSH', MAP, 'x');
				},
			};
			const got = {};
			for (const [name, forge] of Object.entries(forgeries)) {
				const before = await rejected();
				await forge();
				await redis.command('PUBLISH', CHANGES, 'x');
				await pause(1500);
				got[name] = [await edge.metric(/^pitwall_edge_map_version/), (await edge.streams()).length];
				m.note(`${name}: counted`, (await rejected()) - before);
			}
			m.all(
				'version and streams stay',
				got,
				Object.fromEntries(Object.keys(got).map((name) => [name, [version, 1]])),
			);
			m.atLeast('counted', await rejected(), 3);
			m.equal('panics', /panicked/.test(edge.child.output()), false);
			m.viewers(await viewer.stop());
		},
	},
	{
		name: 'redis-stopped',
		faultOf: 'store',
		promise: 'a Redis that hangs (SIGSTOP) costs viewers nothing, and is used again when it goes on',
		fast: true,
		async run(bed, m, { isFast }) {
			const { redis, edge, viewer } = await watchCluster(bed);
			const polls = viewer.counts.pollMs.length;
			redis.signal('SIGSTOP');
			await pause(isFast ? 6000 : 30_000);
			const during = viewer.counts.pollMs.slice(polls);
			redis.signal('SIGCONT');
			m.within('slowest poll ms', Math.max(...during), 400);
			await eventually(async () => (await edge.metric(/^pitwall_store_connected/)) === 1, 'connected again');
			m.viewers(await viewer.stop());
		},
	},
	{
		name: 'switch-without-redis',
		faultOf: 'store',
		promise:
			'an operator switches while Redis hangs or is gone. One process: within 1 s at its own edge, also across SIGKILL, and everywhere when Redis is back. Processes apart: refused within 1 s, never done later',
		async run(bed, m) {
			const redis = await bed.redis();
			const a = await startSource(bed, { name: 'a' });
			const b = await startSource(bed, { name: 'b', offset: 5000 });
			const sections = sourceSection(a, 'World feed', 'priority = 1') + sourceSection(b);
			const text = config({ store: redis.port, source: sections });
			const both = await bed.started(text, { name: 'run' });
			await both.untilHealthy();
			await both.untilUpstreams(2);
			const standby = await bed.started(text, { name: 'standby' });
			const other = await bed.started(config({ store: redis.port }), {
				role: 'proxy',
				name: 'edge-1',
			});
			for (const edge of [other, standby]) await edge.untilUpstreams(2);
			m.equal('with Redis', (await switchTo(both, 'a')).answer.reach, 'all-edges');
			await untilActive(other, 'a');
			const viewer = both.viewer();
			await viewer.untilSource('a');
			const slowest = [];
			const took = (label, { status, ms, answer }, expected) => {
				slowest.push(ms);
				m.equal(label, [status, answer.reach ?? answer.type.split(':').at(-1)], expected);
			};
			for (const [way, [takeAway, giveBack]] of Object.entries(WAYS_TO_BE_AWAY)) {
				await takeAway(redis);
				for (const source of ['b', 'a', 'b']) took(way, await switchTo(both, source), [200, 'own-edge']);
				await viewer.untilSource('b');
				m.equal('other edges meanwhile', await activeSource(other), 'a');
				if (way === 'gone') {
					await viewer.stop();
					await both.kill();
					await both.start();
					await viewerOf(both, 'b');
				}
				await giveBack(redis);
				for (const edge of [both, other, standby]) await untilActive(edge, 'b');
				await eventually(async () => {
					const { status, answer } = await switchTo(both, 'a');
					return status === 200 && answer.reach === 'all-edges';
				}, 'all edges follow again');
				await untilActive(other, 'a');
			}
			await both.kill();
			await standby.kill();
			const control = await bed.started(text, {
				role: 'control-plane',
				name: 'control-plane',
			});
			await eventually(async () => (await control.metric(/^pitwall_leader/)) === 1, 'it leads', 40);
			const apart = { ...other, origin: `http://127.0.0.1:${control.control}` };
			await eventually(async () => (await switchTo(apart, 'a')).status === 200, 'it takes commands', 40);
			redis.signal('SIGSTOP');
			took('apart', await switchTo(apart, 'b'), [503, 'store-unavailable']);
			redis.signal('SIGCONT');
			await pause(3000);
			m.equal('apart, later', await activeSource(other), 'a');
			m.within('slowest answer ms', Math.max(...slowest), 1000);
			m.viewers(viewer.counts, { stall: 4, skipped: 20 });
		},
	},
	{
		name: 'redis-fails-over',
		faultOf: 'store',
		promise: 'Sentinel names another master: zero 5xx, the map goes on with higher versions',
		async run(bed, m) {
			const master = await bed.redis();
			const replica = await bed.redis(['--replicaof', '127.0.0.1', `${master.port}`]);
			const sentinel = await freePort();
			const file = path.join(bed.folder, 'sentinel.conf');
			writeFileSync(
				file,
				`bind 127.0.0.1\nport ${sentinel}\ndir ${bed.folder}\nsentinel monitor mymaster 127.0.0.1 ${master.port} 1\nsentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n`,
			);
			const watcher = startProcess('redis-server', [file, '--sentinel']);
			bed.after(() => watcher.stop('SIGKILL'));
			await watcher.untilOutput(/\+slave/);
			const source = await startSource(bed);
			const store = `[store]\nkind = "redis"\nurl = "redis://mymaster/0"\nsentinels = ["127.0.0.1:${sentinel}"]\n`;
			const control = await bed.started(config({ source: sourceSection(source), more: store }), {
				role: 'control-plane',
				name: 'control-plane',
			});
			const edge = await bed.started(config({ more: store }), {
				role: 'proxy',
				name: 'edge-1',
				control: control.control,
			});
			await edge.untilHealthy();
			const viewer = edge.viewer();
			await viewer.until(3);
			const version = await edge.metric(/^pitwall_edge_map_version/);
			await master.stop();
			await watcher.untilOutput(/\+switch-master/, 30);
			const began = performance.now();
			await eventually(
				async () =>
					(await edge.metric(/^pitwall_store_connected/)) === 1 &&
					(await control.metric(/^pitwall_leader/)) === 1,
				'both use the new master',
				40,
			);
			m.note('used after s', (performance.now() - began) / 1000);
			await eventually(
				async () => (await edge.metric(/^pitwall_edge_map_version/)) >= version,
				'the map is not older',
			);
			m.note('replica', (await replica.command('ROLE')).includes('master') ? 'leads' : 'follows');
			await viewer.until(viewer.counts.segments + 3);
			m.viewers(await viewer.stop());
		},
	},
	{
		name: 'edges-asked-in-turn',
		promise: 'two edges that a front asks in turn: neither is behind what the other has published',
		async run(bed, m) {
			const { edges } = await startCluster(bed, { edges: 2 });
			const urls = edges.map((edge) => `${edge.origin}/live/world-feed/v.m3u8`);
			const seen = [];
			const end = performance.now() + 40_000;
			for (let poll = 0; performance.now() < end; poll++) {
				const { status, body } = await request(urls[poll % 2]);
				const text = body.toString();
				const first = Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0);
				const last = first + text.split('#EXTINF').length - 2;
				seen.push({ at: performance.now(), status, last });
				await pause(40);
			}
			m.equal('answers that are no 200', seen.filter(({ status }) => status !== 200).length, 0);
			let newest = 0;
			let since;
			let back = 0;
			let longest = 0;
			for (const { at, last } of seen) {
				if (last >= newest) since = undefined;
				else {
					back++;
					since ??= at;
					longest = Math.max(longest, at - since);
				}
				newest = Math.max(newest, last);
			}
			m.note('polls', seen.length);
			m.note('longest ms', longest);
			m.equal('polls that step back', back, 0);
		},
	},
];
