// Faults of processes and of the machine: signals, restarts, limits of open files, clocks.
import { createServer } from 'node:http';
import { startNginx } from '../../../../frontend/e2e/support/nginx.mjs';
import { allowed, config, eventually, freePort, hasProgram, need } from '../bed.mjs';
import { newAgent, pause, plainLink, quantile, request } from '../client.mjs';
import { startCluster } from '../cluster.mjs';
import { segmentBytes, sendBytes, sourceSection, startSource } from '../source.mjs';
import { startViewer } from '../viewer.mjs';

/** An origin on which every segment takes `seconds`. */
async function slowOrigin(bed, seconds, bytes) {
	const server = createServer((incoming, response) => {
		const body = segmentBytes(incoming.url, bytes);
		response.writeHead(200, {
			'content-length': body.length,
			'content-type': 'video/mp2t',
		});
		const steps = 10;
		let step = 0;
		const timer = setInterval(
			() => {
				response.write(body.subarray((body.length * step) / steps, (body.length * (step + 1)) / steps));
				if (++step === steps) {
					clearInterval(timer);
					response.end();
				}
			},
			(seconds * 1000) / steps,
		);
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', 2048, resolve));
	bed.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${server.address().port}`;
}

async function watch(bed, options = {}) {
	const source = await startSource(bed, options.live);
	const edge = await bed.started(config({ source: sourceSection(source), ...options.config }), options.edge);
	await edge.untilHealthy();
	const viewer = edge.viewer();
	await viewer.until(3);
	return { source, edge, viewer };
}

export const PROCESS_ROWS = [
	{
		number: 30,
		name: 'sigterm-with-200-streams',
		promise: 'zero truncated; exit within the drain time',
		fast: true,
		async run(bed, m) {
			const base = await slowOrigin(bed, 3, 188 * 1000);
			const edge = await bed.started(config({ edge: 'drain = "10s"', upstream: allowed(base) }));
			const agent = bed.agent({ maxSockets: 300 });
			let headers = 0;
			const transfers = Array.from({ length: 200 }, (_, n) =>
				request(edge.origin + plainLink('/relay', `${base}/${n}.ts`), {
					agent,
					onHeader: () => headers++,
				}),
			);
			await eventually(() => headers === 200, 'all 200 run');
			const began = performance.now();
			const stopped = edge.stop('SIGTERM');
			const answers = await Promise.all(transfers);
			const code = await stopped;
			// What the origin did not begin in time was answered 504 before the signal.
			const running = answers.filter(({ status }) => status === 200);
			const whole = running.filter(({ complete, body }) => complete && body.length === 188_000);
			m.atLeast('running', running.length, 50);
			m.equal('truncated', running.length - whole.length, 0);
			m.equal('exit code', code, 0);
			m.within('exit after s', (performance.now() - began) / 1000, 10);
		},
	},
	{
		number: 31,
		name: 'sigkill',
		promise: 'ready again within 2 s; a viewer needs one retry at most, and does not stall',
		fast: true,
		async run(bed, m, { isFast }) {
			const { edge, viewer } = await watch(bed);
			const times = [];
			const rounds = isFast ? 2 : 6;
			for (let round = 0; round < rounds; round++) {
				await edge.kill();
				times.push((await edge.start()) / 1000);
				await viewer.until(viewer.counts.segments + 3);
			}
			m.note('kills', rounds);
			m.within('ready after s', Math.max(...times), 2);
			const counts = await viewer.stop();
			// A poll and a segment may both be on their way when the process dies.
			m.viewers(counts, { refusals: 2 * rounds });
		},
	},
	{
		number: 32,
		name: 'rolling-restart',
		promise:
			'edges behind nginx are replaced one after the other, three times, under load: zero refused, zero reset',
		fast: true,
		async run(bed, m, { isFast }) {
			need(hasProgram('/usr/sbin/nginx'), 'nginx');
			const { edges } = await startCluster(bed, {
				edges: 2,
				edge: { env: { PITWALL_EDGE__DRAIN: '8s' } },
			});
			const front = await freePort();
			const nginx = startNginx(
				bed,
				bed.subfolder('nginx'),
				`access_log off;
				upstream pitwall { ${edges.map(({ port }) => `server 127.0.0.1:${port} max_fails=1 fail_timeout=1s;`).join(' ')} keepalive 32; }
				server { listen 127.0.0.1:${front}; location / {
					proxy_pass http://pitwall; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
					proxy_next_upstream error timeout http_502 http_503 http_504; proxy_next_upstream_tries 2;
				} }`,
			);
			const origin = `http://127.0.0.1:${front}`;
			await eventually(
				async () => (await request(`${origin}/healthz`)).status === 200,
				`nginx answers ${nginx.output()}`,
			);
			const viewers = Array.from({ length: 20 }, () => bed.watch(startViewer(origin)));
			await Promise.all(viewers.map((viewer) => viewer.until(2)));
			for (let round = 0; round < (isFast ? 1 : 3); round++) {
				for (const edge of edges) {
					await edge.stop('SIGTERM');
					await edge.start();
					await edge.untilHealthy();
				}
			}
			await Promise.all(viewers.map((viewer) => viewer.until(viewer.counts.segments + 2)));
			const counts = await Promise.all(viewers.map((viewer) => viewer.stop()));
			m.note('viewers', counts.length);
			m.viewers(counts, { cut: 0 });
		},
	},
	{
		name: 'sigkill-of-everything',
		faultOf: 'store',
		promise:
			'edges, control plane and Redis killed at once, Redis comes back empty: plays again within 5 s, no number steps back',
		fast: true,
		async run(bed, m, { isFast }) {
			const { edges, control, redis } = await startCluster(bed, {
				edges: 2,
				live: {},
			});
			const viewers = edges.map((edge) => edge.viewer());
			for (const viewer of viewers) await viewer.until(3);
			const times = [];
			const rounds = isFast ? 1 : 4;
			for (let round = 0; round < rounds; round++) {
				await Promise.all([...edges.map((edge) => edge.kill()), control.kill(), redis.stop()]);
				const began = performance.now();
				await redis.start();
				await Promise.all([...edges.map((edge) => edge.start()), control.start()]);
				await Promise.all(
					edges.map((edge) =>
						eventually(
							async () => (await request(`${edge.origin}/live/world-feed/v.m3u8`)).status === 200,
							'plays',
						),
					),
				);
				times.push((performance.now() - began) / 1000);
				await Promise.all(viewers.map((viewer) => viewer.until(viewer.counts.segments + 4)));
			}
			m.note('rounds', rounds);
			m.within('plays again after s', Math.max(...times), 5);
			m.viewers(await Promise.all(viewers.map((viewer) => viewer.stop())), {
				stall: rounds,
				refusals: Infinity,
				skipped: Infinity,
			});
		},
	},
	{
		name: 'older-playlist-after-a-restart',
		promise:
			'a server of the source that is one segment behind, right after a restart: the numbers do not step back',
		async run(bed, m, { isFast }) {
			const { source, edge, viewer } = await watch(bed);
			const back = [];
			const first = async () => {
				const { body } = await request(`${edge.origin}/live/world-feed/v.m3u8`);
				return Number(/MEDIA-SEQUENCE:(\d+)/.exec(body.toString())[1]);
			};
			for (let round = 0; round < (isFast ? 1 : 4); round++) {
				await source.newPlaylist();
				await viewer.until(viewer.counts.segments + 1);
				const before = await first();
				await edge.kill();
				source.offset -= 1;
				await edge.start();
				const after = await first();
				if (after < before) back.push(`${before}, then ${after}`);
				source.offset += 1;
				await viewer.until(viewer.counts.segments + 2);
			}
			m.equal('first numbers that are lower', back, []);
			m.viewers(await viewer.stop(), { refusals: Infinity, stall: 4 });
		},
	},
	{
		name: '1000-viewers-after-a-restart',
		promise: 'all arrive within a second: zero errors, each segment fetched once',
		fast: true,
		async run(bed, m) {
			const source = await startSource(bed, {
				target: 4,
				segmentSize: 188 * 50,
			});
			const edge = await bed.started(config({ source: sourceSection(source) }));
			await edge.untilHealthy();
			await edge.stop('SIGTERM');
			await edge.start();
			const before = source.requests.length;
			const arrive = async (n) => {
				await pause(n);
				const agent = newAgent();
				const answers = [await request(`${edge.origin}/live/world-feed/index.m3u8`, { agent })];
				answers.push(await request(`${edge.origin}/live/world-feed/v.m3u8`, { agent }));
				const uris = answers[1].body
					.toString()
					.split('\n')
					.filter((line) => line.startsWith('/'));
				for (const uri of uris.slice(-3)) answers.push(await request(edge.origin + uri, { agent }));
				agent.destroy();
				return answers;
			};
			const began = performance.now();
			const answers = (await Promise.all(Array.from({ length: 1000 }, (_, n) => arrive(n)))).flat();
			m.equal(
				'answers that are no 200',
				answers.filter(({ status, complete }) => status !== 200 || !complete).length,
				0,
			);
			m.equal('answers', answers.length, 5000);
			m.note('all served after s', (performance.now() - began) / 1000);
			m.note(
				'p99 ms',
				quantile(
					answers.map(({ ms }) => ms),
					0.99,
				),
			);
			const asked = source.requests.slice(before);
			const segments = asked.filter(({ url, range }) => /\.ts/.test(url) && !range).map(({ url }) => url);
			m.equal('segments fetched twice', segments.length - new Set(segments).size, 0);
			m.atMost('requests to the source', asked.length, 60);
		},
	},
	{
		number: 37,
		name: 'out-of-open-files',
		promise: 'new connections are shed, the ones there are kept, and all is well afterwards',
		fast: true,
		async run(bed, m) {
			need(hasProgram('prlimit'), 'prlimit');
			const { edge, viewer } = await watch(bed, {
				live: {},
				edge: { wrap: ['prlimit', '--nofile=256:256'] },
			});
			const agents = Array.from({ length: 400 }, () => newAgent());
			const answers = await Promise.all(
				agents.map((agent) => request(`${edge.origin}/healthz`, { agent, timeout: 3000 })),
			);
			const served = answers.filter(({ status }) => status === 200).length;
			m.atLeast('shed', 400 - served, 1);
			m.atLeast('kept', served, 50);
			await viewer.until(viewer.counts.segments + 3);
			m.atMost('open files', edge.resources().openFiles, 256);
			for (const agent of agents) agent.destroy();
			await eventually(
				async () => (await request(`${edge.origin}/healthz`, { agent: false })).status === 200,
				'it takes new ones',
				5,
			);
			m.equal('afterwards', (await request(`${edge.origin}/healthz`, { agent: false })).status, 200);
			// A poll and a segment at once need a second connection, which is a new one.
			m.viewers(await viewer.stop(), { refusals: 3, stall: 1 });
		},
	},
	...[
		['clock-of-everything-15s', 15, true],
		['clock-of-everything-1h', 3600, false, 41],
	].map(([name, seconds, fast, number]) => ({
		number,
		name,
		faultOf: 'clock',
		promise: `the clock jumps by ${seconds} s, back, and by ${seconds} s the other way: no viewer notices, tokens are not asked for all the time`,
		fast,
		async run(bed, m) {
			let runs = 0;
			const source = await startSource(bed, {
				route: (incoming, response) => {
					if (incoming.url !== '/page') return false;
					runs++;
					const expires = Math.floor(Date.now() / 1000) + 600;
					sendBytes(
						incoming,
						response,
						Buffer.from(JSON.stringify({ playlist: '/live.m3u8', expires: `${expires}` })),
					);
					return true;
				},
			});
			const edge = await bed.started(
				config({
					source: `[[source]]\nname = "a"\nkind = "recipe"\nevery = "1h"\nallow_private = ["127.0.0.0/8"]\nfor = [{ feed = "World feed" }]
[[source.step]]\nget = "${source.base}/page"\n[[source.step]]\npointer = "/playlist"\nsave = "playlist"\n[[source.step]]\npointer = "/expires"\nsave = "expires"
[source.result]\nplaylist = "{{playlist}}"\nexpires = "{{expires}}"\n`,
				}),
				{ clock: true },
			);
			await edge.untilHealthy();
			const viewer = edge.viewer();
			await viewer.until(3);
			for (const offset of [seconds, 0, -seconds, 0]) {
				edge.setClock(offset);
				await viewer.until(viewer.counts.segments + 4);
			}
			m.atMost('runs of the source', runs, 12);
			m.equal('panics', /panicked/.test(edge.child.output()), false);
			m.viewers(await viewer.stop());
		},
	})),
	...[
		['clock-of-one-edge-15s', 15, true],
		['clock-of-one-edge-1h', 3600, false],
	].map(([name, seconds, fast]) => ({
		name,
		faultOf: 'clock',
		promise: `one of two edges is ${seconds} s ahead, then behind: both publish the same, each takes the other's links`,
		fast,
		async run(bed, m) {
			const { edge, control, redis } = await startCluster(bed);
			const skewed = await bed.started(config({ store: redis.port }), {
				role: 'proxy',
				name: 'skewed',
				control: control.control,
				clock: true,
			});
			await skewed.untilHealthy();
			const viewers = [edge.viewer(), skewed.viewer()];
			for (const viewer of viewers) await viewer.until(2);
			const uris = async (of) =>
				(await request(`${of.origin}/live/world-feed/v.m3u8`)).body
					.toString()
					.split('\n')
					.filter((line) => line.startsWith('/'));
			let [refused, differing] = [0, 0];
			for (const offset of [seconds, -seconds]) {
				skewed.setClock(offset);
				for (const viewer of viewers) await viewer.until(viewer.counts.segments + 3);
				const [ours, theirs] = [await uris(edge), await uris(skewed)];
				const [links, bodies] = [[], new Map()];
				for (const [asked, list] of [
					[skewed, ours],
					[edge, theirs],
					[edge, ours],
				])
					links.push(...list.slice(-3).map((uri) => [asked, uri]));
				for (const [asked, uri] of links) {
					const answer = await request(asked.origin + uri);
					if (answer.status !== 200) refused++;
					const number = uri.split('?')[0];
					const label = answer.body.subarray(4, 40).toString();
					if ((bodies.get(number) ?? label) !== label) differing++;
					bodies.set(number, label);
				}
			}
			m.equal('links refused', refused, 0);
			m.equal('numbers that are another segment there', differing, 0);
			m.viewers(await Promise.all(viewers.map((viewer) => viewer.stop())));
		},
	})),
];
