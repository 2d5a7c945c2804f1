// One stream that never ends: sources die, freeze, count anew and come back, tokens end, Redis comes and goes,
// the leader is killed and an edge restarts, while hls.js and ffmpeg play it through a plain load balancer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { balancer } from './support/balancer.mjs';
import { open } from './support/browser.mjs';
import { faulty } from './support/faulty.mjs';
import { foreignPage } from './support/player.mjs';
import { eventually, freePort, pitwall, start } from './support/process.mjs';
import { gap } from './support/step.mjs';
import { witness } from './support/witness.mjs';

const ROUNDS = process.env.FULL ? 4 : 1;
const TOKEN_TTL = 25;
/** Of the origin, in seconds. */
const TARGET = 2;
const OFFSET = 5_000_000;
const LIVE = 'world-feed';
/** What is done to the source that plays, whichever it is. */
const FAULTS = [
	['dead', 'is killed'],
	['frozen', 'stands still'],
	['anew', 'counts anew'],
];

/** Two control planes, two edges and a Redis, each a process of its own. */
async function cluster(t, origin, best, other) {
	const folder = mkdtempSync(path.join(os.tmpdir(), 'pitwall-splice-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	const redisPort = await freePort();
	const config = path.join(folder, 'pitwall.toml');
	writeFileSync(path.join(folder, 'seal.key'), 'k'.repeat(40));
	writeFileSync(
		config,
		`
[schedule]
providers = []
[store]
kind = "redis"
url = "redis://127.0.0.1:${redisPort}"
[access]
seal_key_file = "${path.join(folder, 'seal.key')}"

[[source]]
name = "club"
kind = "recipe"
priority = 1
every = "1m"
allow_private = ["127.0.0.0/8"]
token_parameters = ["exp", "sig"]
for = [{ feed = "World feed", id = "world-feed" }]
[[source.step]]
get = "${best.base}/api/feeds"
[[source.step]]
pointer = "/0/playlist"
save = "playlist"
[[source.step]]
pointer = "/0/expires"
save = "expires"
[source.result]
playlist = "{{playlist}}"
expires = "{{expires}}"
headers = { Referer = "${origin}/embed/world-feed" }

[[source]]
name = "mirror"
kind = "static"
feed = "World feed"
url = "${other.base}/open/world-feed/master.m3u8"
allow_private = ["127.0.0.0/8"]
`,
	);
	const redis = () =>
		start('redis-server', ['--bind', '127.0.0.1', '--port', `${redisPort}`, '--save', '', '--dir', folder]);
	const run = async (command, state, addresses) => {
		const env = { ...process.env, PITWALL_STATE__DIR: path.join(folder, state), PITWALL_LOG: 'info' };
		for (const [key, port] of Object.entries(addresses)) env[`PITWALL_${key}`] = `127.0.0.1:${port}`;
		return pitwall([command, '--config', config], { env });
	};
	const stopped = (child) => t.after(() => child.stop('SIGKILL'));
	let store = redis();
	stopped(store);
	await store.until(/Ready to accept connections/);
	const controls = [];
	for (const name of ['control-1', 'control-2']) {
		const [listen, admin] = [await freePort(), await freePort()];
		const child = await run('control-plane', name, {
			CONTROL__LISTEN: listen,
			CONTROL__ADMIN: admin,
			EDGE__LISTEN: await freePort(),
		});
		stopped(child);
		controls.push({ child, listen, admin });
	}
	const leader = async () => {
		for (const control of controls) {
			const metrics = await (await fetch(`http://127.0.0.1:${control.admin}/metrics`)).text().catch(() => '');
			if (metrics.includes('pitwall_store_leads 1')) return control;
		}
		return undefined;
	};
	await eventually(leader, 'a control plane leads');
	const edges = [];
	for (const name of ['edge-1', 'edge-2']) {
		const port = await freePort();
		const edge = { origin: `http://127.0.0.1:${port}`, life: 0, down: false };
		edge.start = async () => {
			edge.child = await run('proxy', name, {
				EDGE__LISTEN: port,
				EDGE__ADMIN: await freePort(),
				EDGE__CONTROL: controls[0].listen,
			});
			stopped(edge.child);
			await eventually(
				async () => (await fetch(`${edge.origin}/live/${LIVE}/index.m3u8`)).ok,
				`${name} plays`,
			);
			edge.down = false;
		};
		await edge.start();
		edges.push(edge);
	}
	return {
		edges,
		controls,
		leader,
		async flush() {
			const child = spawn('redis-cli', ['-p', `${redisPort}`, 'FLUSHALL'], { stdio: 'ignore' });
			await new Promise((resolve) => child.once('exit', resolve));
		},
		stopRedis: () => store.stop('SIGKILL'),
		async startRedis() {
			store = redis();
			stopped(store);
			await store.until(/Ready to accept connections/);
		},
		async restart(edge) {
			edge.down = true;
			await edge.child.stop();
			edge.life++;
			await edge.start();
		},
	};
}

/** What stands between two looks at `currentTime`. */
async function watchTime(page) {
	await page.evaluate(() => {
		const video = document.querySelector('video');
		const seen = (window.seen = { longest: 0, at: 0, since: performance.now(), time: video.currentTime });
		setInterval(() => {
			const now = performance.now();
			if (video.currentTime > seen.time) Object.assign(seen, { time: video.currentTime, since: now });
			else if (now - seen.since > seen.longest)
				Object.assign(seen, { longest: now - seen.since, at: Date.now() });
		}, 50);
	});
}

test('a stream goes on whatever happens to its sources and to what carries it', async (t) => {
	const port = await freePort();
	const origin = `http://127.0.0.1:${port}`;
	const source = pitwall(['origin', '--listen', `127.0.0.1:${port}`, '--token-ttl', `${TOKEN_TTL}`]);
	t.after(() => source.stop());
	await source.until(/The origin is on/);
	const best = await faulty(t, origin, 0);
	const other = await faulty(t, origin, OFFSET);
	const them = await cluster(t, origin, best, other);
	const { edges } = them;
	const sources = async () => (await (await fetch(`${edges[0].origin}/api/streams/${LIVE}`)).json()).sources;
	/** The one whose segments are fetched: an edge may know better than the map for a while. */
	const playing = async () => {
		const before = [best.segments, other.segments];
		await plays(4);
		return best.segments - before[0] > other.segments - before[1] ? 'club' : 'mirror';
	};
	const health = async (name) => (await sources()).find((one) => one.name === name)?.health;
	await eventually(
		async () => (await sources()).every((one) => one.health === 'healthy') && (await sources()).length === 2,
		'both sources are there',
	);

	const multivariant = await (await fetch(`${edges[0].origin}/live/${LIVE}/index.m3u8`)).text();
	const video = multivariant.split('\n').find((line) => /^v.*\.m3u8$/.test(line));
	const audio = /URI="([^"]+)"/.exec(multivariant)?.[1];
	const playlists = [video, audio].filter(Boolean).map((name) => `${LIVE}/${name}`);
	t.diagnostic(`watched: ${playlists}`);
	const seen = witness(t, edges, playlists);

	const front = await balancer(t, edges);
	const url = `${front}/live/${LIVE}/index.m3u8`;
	const site = await foreignPage(t);
	const { page } = await open(t);
	await page.goto(site);
	await page.evaluate((url) => window.player.play(url), url);
	const state = () => page.evaluate(() => ({ ...window.player.state(), ...window.seen }));
	await eventually(async () => (await state()).time > 1, 'hls.js plays', 20);
	await watchTime(page);
	const began = Date.now();
	const { time: first } = await state();
	const ffmpeg = start('ffmpeg', [
		'-v',
		'error',
		'-nostdin',
		'-progress',
		'pipe:1',
		'-re',
		'-i',
		url,
		'-f',
		'null',
		'-',
	]);
	t.after(() => ffmpeg.stop('SIGKILL'));

	/** When the tokens end with which the source that has them was played. */
	const expiries = new Set();
	const plays = async (seconds) => {
		const club = (await sources()).find((one) => one.name === 'club');
		if (club?.expires_at) expiries.add(club.expires_at);
		const { time } = await state();
		await eventually(
			async () => (await state()).time > time + seconds,
			`${seconds} s more are played`,
			seconds + 15,
		);
	};
	let farthest = 0;
	/** Until viewers were moved to another source. */
	const switches = async (what, fault) => {
		const before = seen.switches();
		const at = Date.now();
		await fault();
		await eventually(() => seen.switches() > before, `${what}: a switch`, 40);
		t.diagnostic(`${what}: switched after ${((Date.now() - at) / 1000).toFixed(1)} s`);
		await plays(4);
		if (playlists.length > 1) {
			const look = async () => ({ apart: await gap(edges[0], playlists[0], playlists[1]) });
			const { apart } = await eventually(look, `${what}: picture and sound`, 10);
			assert.ok(apart < 0.1, `${what}: picture and sound are ${apart} s apart`);
			farthest = Math.max(farthest, apart);
		}
	};
	for (let round = 0; round < ROUNDS; round++) {
		for (const [fault, what] of FAULTS) {
			const name = await playing();
			const source = { club: best, mirror: other }[name];
			await switches(`${name} ${what}`, () => (source.fault = fault));
			source.fault = 'none';
			await eventually(async () => (await health(name)) === 'healthy', `${name} is back`, 60);
		}

		await them.stopRedis();
		await plays(4);
		await them.startRedis();
		await plays(3);
		await them.flush();
		await plays(3);
		if (round === 0) {
			const leader = await eventually(them.leader, 'somebody leads');
			await leader.child.stop('SIGKILL');
			them.controls.splice(them.controls.indexOf(leader), 1);
			await plays(3);
		}
		await them.restart(edges[1]);
		await plays(3);
	}
	// Until two tokens have ended.
	const ended = () => [...expiries].filter((at) => Date.parse(at) < Date.now()).length;
	for (const deadline = Date.now() + 4 * TOKEN_TTL * 1000; ended() < 2;) {
		assert.ok(Date.now() < deadline, `tokens: ${[...expiries]}`);
		await plays(2);
	}

	const { time, longest, at, errors } = await state();
	const seconds = (Date.now() - began) / 1000;
	const result = await seen.end();
	t.diagnostic(
		`${(time - first).toFixed(1)} s played in ${seconds.toFixed(1)} s; it stood for ${(longest / 1000).toFixed(1)} s at most, at ${new Date(at).toISOString()}`,
	);
	t.diagnostic(
		`${result.published} segments published alike, ${result.compared} compared by their bytes, ${result.discontinuities} discontinuities`,
	);
	t.diagnostic(`${ended()} tokens ended meanwhile`);
	t.diagnostic(`picture and sound ${(farthest * 1000).toFixed(0)} ms apart at most`);
	const said = errors.map(({ details }) => details);
	const counted = [...new Set(said)].map((one) => `${one} ${said.filter((other) => other === one).length}`);
	t.diagnostic(`what hls.js said: ${counted.join(', ')}`);
	assert.deepEqual(
		errors.filter(({ fatal }) => fatal),
		[],
	);
	assert.ok(longest / 1000 < TARGET + 2, `currentTime stood for ${longest} ms`);
	assert.ok(result.compared > 10);
	const decoded = [...ffmpeg.said().matchAll(/out_time_us=(\d+)/g)].at(-1)?.[1] / 1e6;
	t.diagnostic(`ffmpeg decoded ${decoded} s`);
	assert.ok(decoded > seconds * 0.7, `ffmpeg: ${decoded} s in ${seconds} s: ${ffmpeg.said()}`);
});
