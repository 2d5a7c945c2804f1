// Faults of the control plane, of extractors and of the schedule.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { config, eventually } from '../bed.mjs';
import { getJson, pause, request } from '../client.mjs';
import { startCluster } from '../cluster.mjs';
import { sendBytes, sourceSection, startSource } from '../source.mjs';

async function listen(bed, server) {
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	bed.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${server.address().port}`;
}

const calendar = () => {
	const at = (hours) => `${new Date(Date.now() + hours * 3600_000).toISOString().replace(/[-:]|\.\d+/g, '')}`;
	return `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:1@test\r\nDTSTAMP:${at(0)}\r\nDTSTART:${at(72)}\r\nDTEND:${at(74)}\r\nSUMMARY:Village race\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`;
};

/** An edge whose calendar is at `answer`'s server. */
async function scheduleBed(bed, answer) {
	const asked = [];
	const server = createServer((incoming, response) => {
		asked.push(performance.now());
		answer.with(incoming, response);
	});
	const base = await listen(bed, server);
	const text = `[schedule]\nproviders = ["ics"]\nics_url = "${base}/c.ics"\nallow_private = ["127.0.0.0/8"]\n`;
	return { asked, edge: await bed.pitwall(text, { clock: true }) };
}

export const CONTROL_ROWS = [
	{
		number: 18,
		name: 'killed-while-publishing',
		faultOf: 'control plane',
		promise: 'the map before or after, never a mixture; every stream stays',
		async run(bed, m, { isFast }) {
			const streams = 30;
			let generation = 0;
			const source = await startSource(bed, {
				route: (incoming, response) => {
					if (incoming.url !== '/list.m3u') return false;
					const entries = Array.from(
						{ length: streams },
						(_, n) =>
							`#EXTINF:-1 tvg-id="c${n}",Channel ${n}\n${source.base}/live.m3u8?generation=${generation}&channel=${n}`,
					);
					sendBytes(incoming, response, Buffer.from(`#EXTM3U\n${entries.join('\n')}\n`));
					return true;
				},
			});
			const ids = Array.from({ length: streams }, (_, n) => `channel-${n}`);
			const { control, edge } = await startCluster(bed, {
				source,
				sections: `[[source]]\nname = "list"\nkind = "m3u"\nevery = "1s"\nurl = "${source.base}/list.m3u"\nallow_private = ["127.0.0.0/8"]\n`,
				streams: ids,
			});
			const viewer = edge.viewer('channel-3');
			await viewer.until(2);
			const rounds = isFast ? 3 : 12;
			let [missing, older, version] = [0, 0, 0];
			for (let round = 0; round < rounds; round++) {
				generation++;
				// The list is read, its entries are checked and published; the kill comes somewhere in between.
				await pause(300 + Math.random() * 1500);
				await control.kill();
				const now = await edge.metric(/^pitwall_edge_map_version/);
				if (now < version) older++;
				version = now;
				const known = (await edge.streams()).map(({ id }) => id);
				missing += ids.filter((id) => !known.includes(id)).length;
				await control.start();
			}
			m.note('kills', rounds);
			m.equal('streams missing', missing, 0);
			m.equal('versions that step back', older, 0);
			const rejected = await edge.metric(/^pitwall_store_rejected_total\{reason="damaged"/);
			m.equal('maps that were damaged', Number.isNaN(rejected) ? 0 : rejected, 0);
			m.viewers(await viewer.stop(), { stall: 0 });
		},
	},
	{
		number: 19,
		name: 'control-plane-dead',
		faultOf: 'control plane',
		promise: 'playback goes on, also after a cold start of the edge; the age of the map shows in metrics',
		fast: true,
		async run(bed, m, { isFast }) {
			const { control, redis, edge } = await startCluster(bed);
			const viewer = edge.viewer();
			await viewer.until(3);
			await control.kill();
			await redis.stop();
			const seconds = isFast ? 5 : 45;
			const synced = await edge.metric(/^pitwall_store_last_sync_timestamp_seconds/);
			await pause(seconds * 1000);
			m.note('dead for s', seconds);
			m.equal('the last sync stays', await edge.metric(/^pitwall_store_last_sync_timestamp_seconds/), synced);
			m.equal('connected', await edge.metric(/^pitwall_store_connected/), 0);
			m.viewers(await viewer.stop());
			await edge.kill();
			m.within('cold start s', (await edge.start()) / 1000, 2);
			const again = edge.viewer();
			await again.until(3);
			m.viewers(await again.stop(), { segments: 3 });
		},
	},
	{
		number: 20,
		name: 'extractor-hangs',
		faultOf: 'control plane',
		promise: 'cancelled at its deadline; the others run on time',
		fast: true,
		async run(bed, m) {
			const held = [];
			const source = await startSource(bed);
			let lists = 0;
			const base = await listen(
				bed,
				createServer((incoming, response) => {
					if (incoming.url === '/list.m3u') {
						lists++;
						return response.end(`#EXTM3U\n#EXTINF:-1,Listed\n${source.url}\n`);
					}
					// The page begins and never ends.
					held.push(response);
					response.writeHead(200, { 'content-type': 'text/html' });
					return response.write('<html>');
				}),
			);
			const hanging = Array.from(
				{ length: 6 },
				(
					_,
					n,
				) => `[[source]]\nname = "hangs-${n}"\nkind = "recipe"\nevery = "3s"\ntimeout = "2s"\nallow_private = ["127.0.0.0/8"]
for = [{ feed = "Hangs ${n}" }]\n[[source.step]]\nget = "${base}/page-${n}"\nsave = "playlist"\n[source.result]\nplaylist = "{{playlist}}"\n`,
			).join('');
			const edge = await bed.started(
				config({
					source: `${hanging}[[source]]\nname = "list"\nkind = "m3u"\nevery = "1s"\nurl = "${base}/list.m3u"\nallow_private = ["127.0.0.0/8"]\nports = [${source.port}]\n`,
				}),
			);
			await edge.untilHealthy(['listed']);
			const viewer = edge.viewer('listed');
			const [before, runs] = [performance.now(), lists];
			await pause(8000);
			m.atLeast(
				'runs of another source in 8 s (each second)',
				((lists - runs) * 8000) / (performance.now() - before),
				5,
			);
			await eventually(
				async () =>
					(await edge.metric(/^pitwall_extractor_runs_total\{.*failure.*hangs-0/)) >= 1 ||
					(await edge.metric(/^pitwall_extractor_runs_total\{.*hangs-0.*/)) >= 1,
				'the run was ended',
			);
			m.atLeast('runs ended', await edge.metric(/^pitwall_extractor_runs_total\{.*hangs-/), 6);
			m.equal('ready', (await request(`${edge.origin}/readyz`)).status, 200);
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 21,
		name: 'extractor-crashes',
		faultOf: 'control plane',
		promise:
			'isolated, asked less often, readiness stays (a program that aborts; a panic in code is a unit test)',
		fast: true,
		async run(bed, m) {
			const source = await startSource(bed);
			const program = path.join(bed.folder, 'yt-dlp');
			const log = path.join(bed.folder, 'runs');
			writeFileSync(program, `#!/bin/sh\necho run >> ${log}\nkill -ABRT $$\n`);
			chmodSync(program, 0o755);
			const edge = await bed.started(
				config({
					more: `[extract]\nyt_dlp = "${program}"`,
					source: `${sourceSection(source)}[[source]]\nname = "crashes"\nkind = "yt-dlp"\nfeed = "Crashes"\nevery = "1m"\nurl = "${source.base}/page"\nallow_private = ["127.0.0.0/8"]\n`,
				}),
			);
			await edge.untilHealthy();
			const viewer = edge.viewer();
			await pause(12_000);
			const runs = readFileSync(log, 'utf8').split('\n').length - 1;
			m.atLeast('crashes', runs, 1);
			m.within('runs in 12 s (after 2 s, 4 s, 8 s)', runs, 4);
			m.equal('ready', (await request(`${edge.origin}/readyz`)).status, 200);
			m.viewers(await viewer.stop());
		},
	},
	{
		number: 22,
		name: '10000-streams',
		faultOf: 'control plane',
		promise: 'capped at 200 and counted; published within 1 s of the last check',
		fast: true,
		async run(bed, m) {
			let listedAt;
			const source = await startSource(bed, {
				segmentSize: 188 * 50,
				route: (incoming, response) => {
					if (incoming.url !== '/list.m3u') return false;
					listedAt ??= performance.now();
					const entries = Array.from(
						{ length: 10_000 },
						(_, n) => `#EXTINF:-1,Channel ${n}\n${source.base}/live.m3u8?c=${n}`,
					);
					sendBytes(incoming, response, Buffer.from(`#EXTM3U\n${entries.join('\n')}\n`));
					return true;
				},
			});
			const edge = await bed.started(
				config({
					source: `[[source]]\nname = "list"\nkind = "m3u"\nevery = "5m"\nurl = "${source.base}/list.m3u"\nallow_private = ["127.0.0.0/8"]\n`,
				}),
			);
			const streams = await eventually(
				async () => {
					const list = await edge.streams();
					return list.length >= 200 && list;
				},
				'two hundred streams',
				60,
			);
			const published = performance.now();
			m.equal('streams', streams.length, 200);
			m.equal('dropped', await edge.metric(/^pitwall_candidates_dropped_total/), 9800);
			m.note('list to map s', (published - listedAt) / 1000);
			// What is counted is the last check that the map waited for.
			const lastCheck = Math.max(
				...source.requests.filter(({ url, at }) => /\.ts/.test(url) && at < published).map(({ at }) => at),
			);
			m.within('last check to map s', (published - lastCheck) / 1000, 1);
			m.note('memory MiB', edge.resources().rssMiB);
		},
	},
	{
		number: 23,
		name: 'schedule-unreadable',
		faultOf: 'control plane',
		promise: 'down, garbage, HTML: the last good schedule is served, with its age',
		fast: true,
		async run(bed, m) {
			const answer = { with: (_, response) => response.end(calendar()) };
			const { edge } = await scheduleBed(bed, answer);
			await edge.start();
			const names = async () =>
				JSON.stringify(await getJson(`${edge.origin}/api/schedule`)).includes('Village race');
			await eventually(names, 'the schedule is there');
			const { fetched_at: fetchedAt } = (await getJson(`${edge.origin}/api/status`)).schedule;
			const faults = {
				down: (_, response) => response.destroy(),
				503: (_, response) => {
					response.writeHead(503);
					response.end();
				},
				garbage: (_, response) =>
					response.end(Buffer.from(Array.from({ length: 3000 }, (_, n) => (n * 7) % 256))),
				html: (_, response) => {
					response.writeHead(200, { 'content-type': 'text/html' });
					response.end('<html><body>Sign in</body></html>');
				},
				empty: (_, response) => response.end(),
			};
			const got = {};
			let hours = 0;
			for (const [name, fault] of Object.entries(faults)) {
				answer.with = fault;
				await edge.stop('SIGTERM');
				// A provider is asked again once what it said is six hours old.
				hours += 7;
				edge.setClock(hours * 3600);
				await edge.start();
				const status = await eventually(async () => {
					const { schedule } = await getJson(`${edge.origin}/api/status`);
					return (schedule.error ?? schedule.providers[0]?.error) && schedule;
				}, `the ${name} is reported`);
				got[name] = [await names(), status.fetched_at === fetchedAt];
			}
			m.all(
				'served, with the time when it was read',
				got,
				Object.fromEntries(Object.keys(faults).map((name) => [name, [true, true]])),
			);
			m.equal('ready', (await request(`${edge.origin}/readyz`)).status, 200);
		},
	},
	{
		number: 24,
		name: 'schedule-429',
		faultOf: 'control plane',
		promise: 'Retry-After is honoured: no request before it has passed, one soon after',
		async run(bed, m) {
			const answer = {
				with: (_, response) => {
					response.writeHead(429, { 'retry-after': '70', 'content-length': 0 });
					response.end();
				},
			};
			const { edge, asked } = await scheduleBed(bed, answer);
			await edge.start();
			await eventually(() => asked.length >= 2, 'it was asked twice', 120);
			const gaps = asked.slice(1).map((at, index) => (at - asked[index]) / 1000);
			m.atLeast('pause s (Retry-After 70)', gaps[0], 70);
			m.atMost('and not much longer', gaps[0], 85);
		},
	},
];
