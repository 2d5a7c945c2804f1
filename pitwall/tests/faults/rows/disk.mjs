// Faults of the disk, and power that fails.
import { spawnSync } from 'node:child_process';
import {
	cpSync,
	existsSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { config, eventually, hasProgram, need } from '../bed.mjs';
import { pause, request } from '../client.mjs';
import { startCluster } from '../cluster.mjs';
import { readSegment, sourceSection, startSource } from '../source.mjs';

async function watch(bed, options = {}) {
	const source = await startSource(bed);
	const edge = await bed.started(config({ source: sourceSection(source) }), options);
	await edge.untilHealthy();
	const viewer = edge.viewer();
	await viewer.until(3);
	await eventually(() => existsSync(path.join(edge.state, 'map')), 'the map is on disk', 20);
	return { source, edge, viewer };
}

/** The viewer's edge is killed and starts again: it plays, from what is on its disk. */
async function coldStart(m, edge, options = {}) {
	await edge.kill();
	await edge.start();
	await edge.untilHealthy();
	const viewer = edge.viewer();
	await viewer.until(3);
	m.viewers(await viewer.stop(), { segments: 3, ...options });
}

/** How long an edge that has started may take until it plays. */
const START_LIMIT_MS = 15_000;

/** Waits until a playlist is there. Where that takes longer than it may, says how long, and what there was until then. */
async function untilPlaying(url) {
	const began = performance.now();
	const answers = new Map();
	for (;;) {
		const { status, error, body } = await request(url, { timeout: 5000 });
		const ms = performance.now() - began;
		if (status === 200)
			return ms > START_LIMIT_MS && `playing after ${Math.round(ms)} ms; ${JSON.stringify([...answers])}`;
		if (ms > 4 * START_LIMIT_MS) throw new Error(`not playing; ${JSON.stringify([...answers])}`);
		const what = `${status} ${error ?? body.toString().slice(0, 200)}`;
		answers.set(what, (answers.get(what) ?? 0) + 1);
		await pause(100);
	}
}

/**
 * Crashes and restarts at random moments, each from the state folder as it was when the power failed: copied while it
 * was being written, of a process that is stopped and then killed. What was published before is compared with what is after.
 */
async function powerLoss(bed, name, rounds, isUnseen = false) {
	const result = {
		rounds: 0,
		lateWrites: 0,
		stepsBack: [],
		renamed: [],
		empty: [],
		crashes: [],
		starts: [],
		lateStarts: [],
		copies: new Set(),
	};
	const source = await startSource(bed, { name, target: 1 });
	const edge = await bed.started(config({ source: sourceSection(source) }), {
		name,
	});
	await edge.untilHealthy();
	const url = `${edge.origin}/live/world-feed/v.m3u8`;
	const labels = new Map();
	let [first, last, circumstances, newestLabel] = [0, 0, '', ''];
	const poll = async () => {
		const answer = await request(url, { timeout: 5000 });
		if (answer.status !== 200) return;
		const text = answer.body.toString();
		const number = Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)[1]);
		const uris = text.split('\n').filter((line) => line.startsWith('/'));
		if (uris.length === 0) return void result.empty.push(text);
		const newest = number + uris.length - 1;
		if (number < first || newest < last)
			result.stepsBack.push(`${first}-${last} then ${number}-${newest} ${circumstances}`);
		[first, last] = [number, newest];
		const segment = await request(edge.origin + uris.at(-1), { timeout: 5000 });
		if (segment.status !== 200) return;
		const { label } = readSegment(segment.body);
		newestLabel = label;
		if ((labels.get(newest) ?? label) !== label)
			result.renamed.push(`${newest}: ${labels.get(newest)}, then ${label}`);
		labels.set(newest, label);
	};
	for (let round = 0; round < rounds; round++) {
		// Half of the time the source counts anew, which makes the edge write a splice.
		if (Math.random() < 0.5)
			source.offset += (Math.random() < 0.5 ? -1 : 1) * (1000 + Math.floor(Math.random() * 9000));
		const until = performance.now() + 150 + Math.random() * 900;
		// The edge has to have seen that the source counts anew, unless that is what is tried.
		const isSeen = () => isUnseen || newestLabel === `${name}:${source.newest()}`;
		while (performance.now() < until || (!isSeen() && performance.now() < until + 5000)) {
			await poll();
			await pause(Math.random() * 60);
		}
		const copy = `${edge.state}.copy`;
		const isPowerLoss = Math.random() < 0.7;
		// A poll is on its way, which may be about to publish.
		const polling = poll();
		await pause(Math.random() * 20);
		// Power fails for all at one moment: the process must not go on while its folder is copied.
		edge.signal('SIGSTOP');
		if (isPowerLoss) cpSync(edge.state, copy, { recursive: true });
		await edge.kill();
		await polling;
		if (isPowerLoss) {
			rmSync(edge.state, { recursive: true, force: true });
			cpSync(copy, edge.state, { recursive: true });
			rmSync(copy, { recursive: true, force: true });
		}
		// What the process had written before it was killed may still be on its way here.
		await pause(50);
		const before = edge.child.output();
		// The log says so where a write took longer than a viewer waits for it.
		if (before.includes('takes too long')) {
			result.lateWrites++;
			[first, last] = [0, 0];
			labels.clear();
		}
		if (/panicked/.test(before)) result.crashes.push(before.slice(-300));
		circumstances = `(${isPowerLoss ? 'power loss' : 'crash'}, ${readdirSync(edge.state).join(' ')})`;
		result.starts.push(await edge.start());
		const late = await untilPlaying(url);
		if (late) {
			const tail = edge.child.output().slice(-1000);
			result.lateStarts.push(`${name}, start ${round} ${circumstances}: ${late}; ${tail}`);
		}
		await poll();
		result.rounds++;
	}
	await edge.kill();
	return result;
}

/** What a snapshot may have become: each damages the file. */
const DAMAGES = {
	empty: (file) => truncateSync(file, 0),
	'half of it': (file) => truncateSync(file, Math.floor(statSync(file).size / 2)),
	'a byte short': (file) => truncateSync(file, statSync(file).size - 1),
	'first bit flipped': (file) => flip(file, 0),
	'middle bit flipped': (file) => flip(file, Math.floor(statSync(file).size / 2)),
	'last bit flipped': (file) => flip(file, statSync(file).size - 1),
	garbage: (file) => writeFileSync(file, 'x'.repeat(5000)),
	zeros: (file) => writeFileSync(file, Buffer.alloc(statSync(file).size)),
	gone: (file) => rmSync(file),
};
function flip(file, at) {
	const bytes = readFileSync(file);
	bytes[at] ^= 1;
	writeFileSync(file, bytes);
}

export const DISK_ROWS = [
	{
		number: 39,
		name: 'disk-full',
		promise: 'serves on; what is on disk stays intact, and starts again',
		async run(bed, m) {
			const disk = bed.tmpfs('small', 1 << 20);
			const { edge, viewer } = await watch(bed, {
				state: path.join(disk, 'state'),
			});
			spawnSync('sh', ['-c', `cat /dev/zero > ${path.join(disk, 'full')} 2>/dev/null`]);
			const map = readFileSync(path.join(edge.state, 'map'));
			await pause(8000);
			m.note(
				'free bytes',
				Number(spawnSync('df', ['--output=avail', '-B1', disk]).stdout.toString().split('\n')[1]),
			);
			m.atLeast(
				'map still on disk, bytes',
				readFileSync(path.join(edge.state, 'map')).length,
				map.length / 2,
			);
			m.equal('said in the log', /No space|space left|disk/i.test(edge.child.output()), true);
			m.viewers(await viewer.stop());
			await coldStart(m, edge);
		},
	},
	{
		name: 'disk-refuses-writes',
		promise: 'as disk-full, where every write fails (RLIMIT_FSIZE)',
		fast: true,
		async run(bed, m) {
			need(hasProgram('prlimit'), 'prlimit');
			const { edge, viewer, source } = await watch(bed, {
				wrap: ['sh', '-c', `trap '' XFSZ; exec "$@"`, 'sh'],
			});
			spawnSync('prlimit', [`--pid=${edge.child.pid}`, '--fsize=0:0']);
			// The source counts anew, so that there is something to write.
			source.offset += 1000;
			await viewer.until(viewer.counts.segments + 6);
			m.viewers(await viewer.stop(), { stall: 2 });
			await coldStart(m, edge);
		},
	},
	{
		name: 'disk-read-only',
		promise: 'a state folder that becomes read-only: serves on, starts again, and says so',
		async run(bed, m) {
			const disk = bed.tmpfs('read-only', 4 << 20);
			const { edge, viewer, source } = await watch(bed, {
				state: path.join(disk, 'state'),
			});
			spawnSync('mount', ['-o', 'remount,ro', disk]);
			source.offset += 1000;
			await viewer.until(viewer.counts.segments + 6);
			m.viewers(await viewer.stop(), { stall: 2 });
			await coldStart(m, edge);
			m.equal('said in the log', /[Rr]ead-only/.test(edge.child.output()), true);
		},
	},
	{
		name: 'fsync-takes-3-s',
		promise: 'a poll waits at most 250 ms for the disk; no stall',
		fast: true,
		async run(bed, m) {
			need(hasProgram('cc'), 'a C compiler');
			const code = path.join(bed.folder, 'slow.c');
			const library = path.join(bed.folder, 'slow.so');
			writeFileSync(
				code,
				'#include <unistd.h>\nint fsync(int fd) { sleep(3); return 0; }\nint fdatasync(int fd) { sleep(3); return 0; }\n',
			);
			const built = spawnSync('cc', ['-shared', '-fPIC', '-o', library, code]);
			need(built.status === 0, `a C compiler that works: ${built.stderr}`);
			const { source, edge, viewer } = await watch(bed, {
				env: { LD_PRELOAD: library },
			});
			const polls = viewer.counts.pollMs.length;
			for (let round = 0; round < 3; round++) {
				source.offset += 1000;
				await viewer.until(viewer.counts.segments + 4);
			}
			const during = viewer.counts.pollMs.slice(polls);
			m.within('slowest poll ms', Math.max(...during), 750);
			m.note('open files', edge.resources().openFiles);
			m.viewers(await viewer.stop(), { stall: 3 });
		},
	},
	{
		number: 40,
		name: 'snapshot-damaged',
		promise:
			'the checksum rejects it, the generation before is used; with both damaged it lives and is not ready',
		fast: true,
		async run(bed, m) {
			const { edge, control, redis, viewer } = await (async () => {
				const cluster = await startCluster(bed);
				return { ...cluster, viewer: cluster.edge.viewer() };
			})();
			await viewer.until(3);
			const map = path.join(edge.state, 'map');
			// A control plane that starts publishes a map of its own, which makes the last one the previous one.
			for (let round = 0; round < 4 && !existsSync(`${map}.previous`); round++) {
				await control.stop('SIGTERM');
				await control.start();
				await pause(6000);
			}
			await viewer.stop();
			await edge.stop('SIGTERM');
			await control.kill();
			await redis.stop();
			m.equal('two generations', existsSync(`${map}.previous`), true);
			const intact = `${edge.state}.intact`;
			cpSync(edge.state, intact, { recursive: true });
			const restore = () => {
				rmSync(edge.state, { recursive: true });
				cpSync(intact, edge.state, { recursive: true });
			};
			const got = {};
			for (const [name, damage] of Object.entries(DAMAGES)) {
				restore();
				damage(map);
				damage(path.join(edge.state, 'splices'));
				await edge.start();
				const answer = await request(`${edge.origin}/live/world-feed/v.m3u8`);
				got[name] = [answer.status, (await edge.streams()).length];
				await edge.kill();
			}
			m.all(
				'plays from the generation before',
				got,
				Object.fromEntries(Object.keys(got).map((name) => [name, [200, 1]])),
			);
			restore();
			for (const file of readdirSync(edge.state).filter((file) => file.startsWith('map')))
				flip(path.join(edge.state, file), 30);
			edge.spawn();
			await eventually(async () => (await request(`${edge.origin}/healthz`)).status === 200, 'it lives');
			m.equal('both damaged: readyz', (await request(`${edge.origin}/readyz`)).status, 503);
		},
	},
	{
		name: 'power-loss',
		promise:
			'crashes and power losses at random moments, each followed by a start from what was on disk: no number steps back or becomes another segment, every start succeeds',
		fast: true,
		timeout: 3600,
		async run(bed, m, { isFast }) {
			const schedules = Number(process.env.SCHEDULES ?? (isFast ? 20 : 1000));
			const lanes = isFast ? 4 : 5;
			const results = await Promise.all(
				Array.from({ length: lanes }, (_, lane) => powerLoss(bed, `lane-${lane}`, schedules / lanes)),
			);
			const all = (key) => results.flatMap((result) => result[key]);
			m.note(
				'schedules',
				results.reduce((total, { rounds }) => total + rounds, 0),
			);
			m.equal('numbers that step back', all('stepsBack').slice(0, 3), []);
			m.equal('numbers that became another segment', all('renamed').slice(0, 3), []);
			m.note('playlists without a segment', all('empty').length);
			m.equal('crashes', all('crashes').slice(0, 3), []);
			m.equal('starts that did not play within 15 s', all('lateStarts').slice(0, 3), []);
			m.note(
				'of these after a write that was late (not judged)',
				results.reduce((total, { lateWrites }) => total + lateWrites, 0),
			);
			m.note('slowest start ms', Math.max(...all('starts')));
		},
	},
	{
		name: 'source-counts-anew-unseen',
		promise: 'a source counts anew just before the edge is killed, or while it is down: no number steps back',
		timeout: 600,
		async run(bed, m) {
			const results = await Promise.all([0, 1, 2, 3].map((lane) => powerLoss(bed, `lane-${lane}`, 40, true)));
			m.note('schedules', 160);
			m.equal('numbers that step back', results.flatMap(({ stepsBack }) => stepsBack).slice(0, 3), []);
		},
	},
];
