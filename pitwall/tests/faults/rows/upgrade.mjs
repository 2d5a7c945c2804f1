// Upgrades of a process that runs: its sockets and its state go to a new one.
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { allowed, config, eventually, hasProgram, need, PITWALL } from '../bed.mjs';
import { pause, plainLink, request } from '../client.mjs';
import { startCluster } from '../cluster.mjs';
import { count, startCrowd } from '../crowd.mjs';
import { segmentBytes, sourceSection, startSource } from '../source.mjs';

const PLAYLIST = '/live/world-feed/v.m3u8';

/** Who owns the state folder of a process now. */
function owner(edge) {
	try {
		return JSON.parse(readFileSync(path.join(edge.state, 'process'), 'utf8'));
	} catch {
		// It is being written.
		return undefined;
	}
}

const isAlive = (pid) => {
	if (!(pid > 0)) return false;
	try {
		process.kill(pid, 0);
		return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
	} catch {
		return false;
	}
};

/** `pitwall upgrade` for a process; resolves to its exit code, what it said, and how long it took. */
async function upgrade(bed, edge) {
	const began = performance.now();
	const result = await new Promise((resolve) =>
		execFile(
			PITWALL,
			['upgrade', '--config', edge.file],
			{ env: { ...edge.variables, ...edge.env }, cwd: edge.folder },
			(error, stdout, stderr) => resolve({ code: error ? error.code : 0, text: stdout + stderr }),
		),
	);
	const pid = owner(edge)?.pid;
	if (pid) bed.after(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
	return { ...result, pid, seconds: (performance.now() - began) / 1000 };
}

/** Has a process use an executable of its own, which `replace` replaces. */
function ownExecutable(bed, edge) {
	const program = path.join(bed.subfolder('bin'), 'pitwall');
	copyFileSync(PITWALL, program);
	edge.program = program;
	return {
		/** How many processes run it, or what has replaced it. */
		running: () =>
			readdirSync('/proc').filter((pid) => {
				try {
					return isAlive(Number(pid)) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(program);
				} catch {
					return false;
				}
			}).length,
		replace(text) {
			writeFileSync(`${program}.new`, text);
			chmodSync(`${program}.new`, 0o755);
			renameSync(`${program}.new`, program);
		},
		restore() {
			copyFileSync(PITWALL, `${program}.new`);
			renameSync(`${program}.new`, program);
		},
	};
}

/** An origin of files that take `seconds` to send. */
async function slowOrigin(bed, seconds) {
	const server = createServer((incoming, response) => {
		const body = segmentBytes(incoming.url, 188 * 8000);
		response.writeHead(200, {
			'content-length': body.length,
			'content-type': 'video/mp2t',
		});
		const steps = 20;
		let step = 0;
		const timer = setInterval(
			() => {
				response.write(body.subarray((body.length * step) / steps, (body.length * (step + 1)) / steps));
				if (++step < steps) return;
				clearInterval(timer);
				response.end();
			},
			(seconds * 1000) / steps,
		);
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	bed.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${server.address().port}`;
}

/** What a crowd saw, all of which has to be nothing. */
function unnoticed(m, counts) {
	for (const key of ['refused', 'reset', 'truncated', 'errors', 'stepsBack'])
		m.equal(key === 'errors' ? '4xx and 5xx' : key === 'stepsBack' ? 'steps back' : key, counts[key], 0);
	if (counts.failures.length > 0) m.note('first', counts.failures.slice(0, 3).join('; '));
	const { playlists, segments, events, downloads, connections, unprocessed } = counts;
	m.note('playlists', playlists);
	m.note('segments', segments);
	if (events) m.note('event streams that ended clean', events);
	if (downloads) m.note('downloads whole', downloads);
	if (connections) m.note('connections of HTTP/2', connections);
	if (unprocessed) m.note('sent again after GOAWAY', unprocessed);
}

/** Three upgrades in a row under a crowd. */
async function threeUpgrades(bed, m, edge, crowd, { between, download, isFast }) {
	const first = owner(edge).pid;
	const [pids, times, downloads] = [[first], [], []];
	for (let round = 0; round < 3; round++) {
		await pause(between);
		if (download) downloads.push(download(round));
		// It is being sent when its process makes way.
		await pause(500);
		const { code, text, pid, seconds } = await upgrade(bed, edge);
		if (code !== 0) throw new Error(`pitwall upgrade: ${code} ${text} ${edge.child.output().slice(-1500)}`);
		pids.push(pid);
		times.push(seconds);
	}
	await pause(between);
	for (const answer of await Promise.all(downloads)) count(crowd.counts, 'download', answer, 'downloads');
	const counts = await crowd.stop();
	m.note('viewers', crowd.size);
	m.equal('upgrades', new Set(pids).size - 1, 3);
	m.within('slowest upgrade s', Math.max(...times), 15);
	unnoticed(m, counts);
	// Those whose viewers have left end by themselves; the first one has a connection of this test for a minute.
	const ended = pids.slice(isFast ? 1 : 0, -1);
	await eventually(() => !ended.some(isAlive), 'the old processes have ended', 90);
	m.equal('old processes left', ended.filter(isAlive).length, 0);
	return pids.at(-1);
}

export const UPGRADE_ROWS = [
	{
		name: 'upgrade',
		promise:
			'three upgrades in a row under 200 viewers: nothing refused, reset or truncated, no step back; the old processes end',
		fast: true,
		async run(bed, m, { isFast }) {
			const source = await startSource(bed, {
				target: 1,
				segmentSize: 188 * 40,
			});
			const base = await slowOrigin(bed, isFast ? 3 : 12);
			const edge = await bed.started(config({ source: sourceSection(source), upstream: allowed(base) }));
			await edge.untilHealthy();
			const crowd = startCrowd(edge.origin, {
				polling: 180,
				listening: 20,
				playlist: PLAYLIST,
			});
			const pid = await threeUpgrades(bed, m, edge, crowd, {
				isFast,
				between: isFast ? 1000 : 15_000,
				download: (round) =>
					request(edge.origin + plainLink('/relay', `${base}/${round}.ts`), { agent: false }),
			});
			process.kill(pid, 'SIGTERM');
			await eventually(() => !isAlive(pid), 'the last one stops', 30);
		},
	},
	{
		name: 'upgrade-tls',
		promise:
			'three upgrades in a row under 200 viewers over TLS, half of them with HTTP/2: nothing refused, reset or truncated, no step back',
		async run(bed, m, { isFast }) {
			const source = await startSource(bed, {
				target: 1,
				segmentSize: 188 * 40,
			});
			const { certFile, keyFile, cert } = bed.authority().sign('edge', 'localhost', { selfSigned: true });
			const edge = await bed.pitwall(
				config({
					source: sourceSection(source),
					more: `[edge.tls]\ncert = "${certFile}"\nkey = "${keyFile}"`,
				}),
			);
			edge.spawn();
			const origin = `https://localhost:${edge.port}`;
			await eventually(
				async () => (await request(origin + PLAYLIST, { ca: cert })).status === 200,
				`the stream plays: ${edge.child.output()}`,
			);
			const half = isFast ? 45 : 90;
			const crowd = startCrowd(origin, {
				polling: half,
				http2: half,
				listening: isFast ? 10 : 20,
				ca: cert,
				playlist: PLAYLIST,
			});
			await threeUpgrades(bed, m, edge, crowd, {
				isFast,
				between: isFast ? 1000 : 15_000,
			});
		},
	},
	{
		name: 'upgrade-that-fails',
		promise:
			'a new process that cannot be started, ends, ends with the state in its hands, or has a bad configuration: the old one goes on, viewers notice nothing, the next upgrade works',
		fast: true,
		async run(bed, m) {
			need(hasProgram('python3'), 'python3');
			const source = await startSource(bed, { target: 1 });
			const edge = await bed.pitwall(config({ source: sourceSection(source) }));
			const executable = ownExecutable(bed, edge);
			await edge.start();
			await edge.untilHealthy();
			const crowd = startCrowd(edge.origin, {
				polling: 20,
				listening: 2,
				playlist: PLAYLIST,
			});
			const { pid } = owner(edge);
			const text = readFileSync(edge.file, 'utf8');
			const speaks = (steps) =>
				`#!/usr/bin/env python3\nimport json, os, signal, socket, time\ns = socket.socket(fileno=0)\ns.recvmsg(4096, 4096)\ns.send(json.dumps({"message": "started", "pid": os.getpid()}).encode())\n${steps}\n`;
			const prepared = `s.send(json.dumps({"message": "prepared"}).encode())\ns.recv(4096)`;
			const programs = {
				'not executable': 'no program',
				'ends at once': '#!/bin/sh\nexit 3\n',
				'ends with the state': speaks(`${prepared}\nos._exit(4)`),
				'is killed with the state': speaks(`${prepared}\nos.kill(os.getpid(), signal.SIGTERM)`),
				'is interrupted': speaks('os.kill(os.getpid(), signal.SIGINT)'),
				'says something else': speaks('s.send(b\'{"message": "listening"}\')\ntime.sleep(60)'),
			};
			const [answers, expected] = [{}, {}];
			for (const [name, program] of Object.entries(programs)) {
				executable.replace(program);
				const { code, text: said, pid: after } = await upgrade(bed, edge);
				answers[name] = [code, after === pid, /goes on/.test(said)];
				expected[name] = [1, true, true];
			}
			m.equal('processes', executable.running(), 1);
			executable.restore();
			writeFileSync(edge.file, text.replace('[edge]', '[edge]\nlistne = 1'));
			const refused = await upgrade(bed, edge);
			answers['bad configuration'] = [refused.code, refused.pid === pid, /listne/.test(refused.text)];
			expected['bad configuration'] = [2, true, true];
			// Without the command, which checks first.
			const failures = () => owner(edge)?.failed_upgrades;
			const before = failures();
			process.kill(pid, 'SIGUSR2');
			await eventually(() => failures() === before + 1, 'the failure is noted');
			answers['the same by SIGUSR2'] = isAlive(pid);
			expected['the same by SIGUSR2'] = true;
			writeFileSync(edge.file, text);
			m.equal(
				'failures counted',
				await edge.metric(/^pitwall_upgrade_failures_total/),
				Object.keys(programs).length + 1,
			);
			// The control plane works on: it notices that the source's playlist has another name for the feed.
			await pause(1500);
			const good = await upgrade(bed, edge);
			answers['a good one'] = [good.code, good.pid !== pid];
			expected['a good one'] = [0, true];
			m.all('outcomes', answers, expected);
			await pause(1500);
			unnoticed(m, await crowd.stop());
			m.equal('state files that were ignored', /is ignored|was ignored/.test(edge.child.output()), false);
		},
	},
	{
		name: 'stop-during-an-upgrade',
		promise:
			'SIGTERM and SIGINT while a new process has the state: both processes end, nothing is truncated, a restart goes on with the numbers',
		async run(bed, m) {
			need(hasProgram('python3'), 'python3');
			const source = await startSource(bed, { target: 1 });
			const base = await slowOrigin(bed, 2);
			const edge = await bed.pitwall(
				config({
					edge: 'drain = "10s"',
					source: sourceSection(source),
					upstream: allowed(base),
				}),
			);
			const executable = ownExecutable(bed, edge);
			const number = async () => {
				const { body } = await request(edge.origin + PLAYLIST);
				return Number(/MEDIA-SEQUENCE:(\d+)/.exec(body.toString())?.[1]);
			};
			for (const signal of ['SIGTERM', 'SIGINT']) {
				executable.restore();
				await edge.start();
				await edge.untilHealthy();
				const last = await number();
				const taken = path.join(edge.folder, `taken-${signal}`);
				executable.replace(
					`#!/usr/bin/env python3\nimport json, os, socket, time\ns = socket.socket(fileno=0)\ns.recvmsg(4096, 4096)\ns.send(json.dumps({"message": "started", "pid": os.getpid()}).encode())\ns.send(json.dumps({"message": "prepared"}).encode())\ns.recv(4096)\nopen(${JSON.stringify(taken)}, "w").write(str(os.getpid()))\ntime.sleep(60)\n`,
				);
				const download = request(edge.origin + plainLink('/relay', `${base}/${signal}.ts`));
				process.kill(edge.child.pid, 'SIGUSR2');
				let successor;
				await eventually(() => {
					successor = Number(readFileSync(taken, 'utf8'));
					return successor > 0;
				}, 'the new process has the state');
				const code = await edge.stop(signal);
				m.equal(`${signal}: exit code`, code, 0);
				m.equal(`${signal}: the new process lives`, isAlive(successor), false);
				if (signal === 'SIGTERM') m.equal('download whole', (await download).complete, true);
				executable.restore();
				await edge.start();
				await edge.untilHealthy();
				m.atLeast(`${signal}: number after a restart`, (await number()) - last, 0);
				await edge.stop('SIGTERM');
			}
		},
	},
	{
		name: 'upgrade-with-redis',
		promise:
			'an edge and the control plane that leads: the lease passes on within 2 s; an edge is upgraded while Redis is gone too; viewers notice nothing',
		async run(bed, m) {
			const { edge, control, redis } = await startCluster(bed, {
				live: { target: 1 },
			});
			const crowd = startCrowd(edge.origin, {
				polling: 20,
				listening: 2,
				playlist: PLAYLIST,
			});
			const leads = () => control.metric(/^pitwall_leader /);
			await eventually(async () => (await leads()) === 1, 'the control plane leads');
			const done = await upgrade(bed, control);
			const began = performance.now();
			m.equal('control plane', [done.code, (await redis.command('PING')).toString().trim()], [0, '+PONG']);
			await eventually(async () => (await leads()) === 1, 'the new one leads');
			m.within('the new one leads after s', (performance.now() - began) / 1000, 2);
			m.equal('edge', (await upgrade(bed, edge)).code, 0);
			await pause(1500);
			await redis.stop();
			await pause(1500);
			const gone = await upgrade(bed, edge);
			m.equal('edge without Redis', [gone.code, gone.text.includes('has taken over')], [0, true]);
			await pause(2000);
			await redis.start();
			await eventually(async () => (await leads()) === 1, 'it leads again');
			await pause(1500);
			unnoticed(m, await crowd.stop());
		},
	},
];
