// One continuous stream across failures: sources die, freeze, renumber their segments and come back, tokens expire,
// Redis stops and starts, the leader is killed and an edge restarts, while hls.js and ffmpeg play the stream
// through a plain load balancer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { startLoadBalancer } from './support/load-balancer.mjs';
import { openPage } from './support/browser.mjs';
import { sourceSection, startDemoOrigin, tempFolder } from './support/edge.mjs';
import { faultyOrigin } from './support/faulty-origin.mjs';
import { startForeignSite } from './support/foreign-page.mjs';
import { eventually, freePort, startPitwall, startProcess } from './support/process.mjs';
import { audioVideoOffset } from './support/av-offset.mjs';
import { checkConsistency } from './support/playlist-consistency.mjs';

const ROUNDS = process.env.FULL ? 4 : 1;
const TOKEN_TTL = 25;
/** The origin's EXT-X-TARGETDURATION in seconds. */
const TARGET_DURATION = 2;
/** Gaps of the playhead below this many seconds count as invisible; the playhead is sampled every 50 ms. */
const VISIBLE_GAP_SECONDS = 0.25;
const ADMIN_TOKEN = 'a'.repeat(40);
const SEQUENCE_OFFSET = 5_000_000;
const STREAM = 'world-feed';
/** The faults that are applied to the source that serves, whichever it is. */
const FAULTS = [
	['dead', 'is killed'],
	['frozen', 'stands still'],
	['renumbered', 'counts anew'],
];

/** Starts two control planes, two edges and a Redis, each as its own process. */
async function startCluster(t, origin, preferred, fallback) {
	const folder = tempFolder(t);
	const redisPort = await freePort();
	const config = path.join(folder, 'pitwall.toml');
	writeFileSync(path.join(folder, 'seal.key'), 'k'.repeat(40));
	writeFileSync(path.join(folder, 'admin.token'), ADMIN_TOKEN);
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
admin_token_file = "${path.join(folder, 'admin.token')}"

[[source]]
name = "club"
kind = "recipe"
priority = 1
every = "1m"
allow_private = ["127.0.0.0/8"]
token_parameters = ["exp", "sig"]
for = [{ feed = "World feed", id = "world-feed" }]
[[source.step]]
get = "${preferred.base}/api/feeds"
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
${sourceSection('mirror', 'World feed', `${fallback.base}/open/world-feed/master.m3u8`)}`,
	);
	const redis = () =>
		startProcess('redis-server', [
			'--bind',
			'127.0.0.1',
			'--port',
			`${redisPort}`,
			'--save',
			'',
			'--dir',
			folder,
		]);
	const run = async (command, state, addresses) => {
		const env = { ...process.env, PITWALL_STATE__DIR: path.join(folder, state), PITWALL_LOG: 'info' };
		for (const [key, port] of Object.entries(addresses)) env[`PITWALL_${key}`] = `127.0.0.1:${port}`;
		return startPitwall([command, '--config', config], { env });
	};
	const killAfterTest = (child) => t.after(() => child.stop('SIGKILL'));
	let store = redis();
	killAfterTest(store);
	await store.untilOutput(/Ready to accept connections/);
	const controls = [];
	for (const name of ['control-1', 'control-2']) {
		const [listen, admin] = [await freePort(), await freePort()];
		const child = await run('control-plane', name, {
			CONTROL__LISTEN: listen,
			// A control plane advertises a loopback address only if that is configured.
			CONTROL__ADVERTISE: listen,
			CONTROL__ADMIN: admin,
			EDGE__LISTEN: await freePort(),
		});
		killAfterTest(child);
		controls.push({ child, listen, admin });
	}
	const leader = async () => {
		for (const control of controls) {
			const metrics = await (await fetch(`http://127.0.0.1:${control.admin}/metrics`)).text().catch(() => '');
			if (metrics.includes('pitwall_leader 1')) return control;
		}
		return undefined;
	};
	await eventually(leader, 'a control plane leads');
	const edges = [];
	for (const name of ['edge-1', 'edge-2']) {
		const port = await freePort();
		const edge = { origin: `http://127.0.0.1:${port}`, restarts: 0, down: false };
		edge.start = async () => {
			edge.child = await run('proxy', name, {
				EDGE__LISTEN: port,
				EDGE__ADMIN: await freePort(),
				EDGE__CONTROL: controls[0].listen,
			});
			killAfterTest(edge.child);
			await eventually(
				async () => (await fetch(`${edge.origin}/live/${STREAM}/index.m3u8`)).ok,
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
		/** Switches the source as an operator does, through a control plane that need not be the leader. */
		async switchTo(source) {
			const answer = await fetch(`http://127.0.0.1:${controls[0].listen}/api/streams/${STREAM}/switch`, {
				method: 'POST',
				headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
				body: JSON.stringify({ source }),
			});
			const text = await answer.text();
			assert.equal(answer.status, 200, text);
			assert.equal(JSON.parse(text).to, source);
		},
		async flush() {
			const child = spawn('redis-cli', ['-p', `${redisPort}`, 'FLUSHALL'], { stdio: 'ignore' });
			await new Promise((resolve) => child.once('exit', resolve));
		},
		stopRedis: () => store.stop('SIGKILL'),
		async startRedis() {
			store = redis();
			killAfterTest(store);
			await store.untilOutput(/Ready to accept connections/);
		},
		async restart(edge) {
			edge.down = true;
			await edge.child.stop();
			edge.restarts++;
			await edge.start();
		},
	};
}

/**
 * Makes `window.seen` record the longest time that `currentTime` stood still (`longestMs`), the longest jump
 * (`skipped`, in seconds) and the number of `waiting` events. `window.watch()` starts a further record.
 */
async function recordPlayheadGaps(page) {
	await page.evaluate(() => {
		const video = document.querySelector('video');
		const begin = () => ({ longestMs: 0, at: 0, skipped: 0, waited: 0 });
		const all = [];
		window.watch = () => all[all.push(begin()) - 1];
		window.seen = window.watch();
		video.addEventListener('waiting', () => all.forEach((record) => record.waited++));
		let [since, time] = [performance.now(), video.currentTime];
		setInterval(() => {
			const [now, shown] = [performance.now(), video.currentTime];
			const [passed, skipped] = [now - since, shown - time - (now - since) / 1000];
			for (const record of all) {
				if (shown === time && passed > record.longestMs)
					Object.assign(record, { longestMs: passed, at: Date.now() });
				record.skipped = Math.max(record.skipped, skipped);
			}
			if (shown !== time) [since, time] = [now, shown];
		}, 50);
	});
}

/** The expiry times of tokens that were used for playback, have passed, and were followed by a later token. */
function expiredTokens(delivered) {
	const count = new Map();
	for (const { expires } of delivered) count.set(expires, (count.get(expires) ?? 0) + 1);
	// A check of the control plane requests one or two segments per token; playback requests more.
	const played = [...count.keys()].filter((expires) => count.get(expires) > 4);
	const last = Math.max(...played);
	return played.filter((expires) => expires < last && expires < Date.now() / 1000);
}

test('a stream plays on across failures of sources, Redis, control plane and edge', async (t) => {
	const origin = await startDemoOrigin(t, '--token-ttl', `${TOKEN_TTL}`);
	const preferred = await faultyOrigin(t, origin, 0);
	const fallback = await faultyOrigin(t, origin, SEQUENCE_OFFSET);
	const clusterUnderTest = await startCluster(t, origin, preferred, fallback);
	const { edges } = clusterUnderTest;
	const sources = async () =>
		(await (await fetch(`${edges[0].origin}/api/streams/${STREAM}`)).json()).sources;
	/** The source whose segments are fetched: an edge may have switched before the upstream map says so. */
	const servingSource = async () => {
		const before = [preferred.segments, fallback.segments];
		await waitForPlayback(4);
		return preferred.segments - before[0] > fallback.segments - before[1] ? 'club' : 'mirror';
	};
	const active = async () => (await sources()).find((one) => one.active)?.name;
	const health = async (name) => (await sources()).find((one) => one.name === name)?.health;
	await eventually(
		async () => (await sources()).every((one) => one.health === 'healthy') && (await sources()).length === 2,
		'both sources are there',
	);

	const multivariant = await (await fetch(`${edges[0].origin}/live/${STREAM}/index.m3u8`)).text();
	const video = multivariant.split('\n').find((line) => /^v.*\.m3u8$/.test(line));
	const audio = /URI="([^"]+)"/.exec(multivariant)?.[1];
	const playlists = [video, audio].filter(Boolean).map((name) => `${STREAM}/${name}`);
	t.diagnostic(`watched: ${playlists}`);
	const consistency = checkConsistency(t, edges, playlists);

	const balancerOrigin = await startLoadBalancer(t, edges);
	const url = `${balancerOrigin}/live/${STREAM}/index.m3u8`;
	const site = await startForeignSite(t);
	const { page } = await openPage(t);
	await page.goto(site);
	await page.evaluate((url) => window.player.play(url), url);
	const state = () => page.evaluate(() => ({ ...window.player.state(), ...window.seen }));
	await eventually(async () => (await state()).time > 1, 'hls.js plays', 20);
	await recordPlayheadGaps(page);
	const began = Date.now();
	const { time: first } = await state();
	const ffmpeg = startProcess('ffmpeg', [
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

	const waitForPlayback = async (seconds) => {
		const { time } = await state();
		await eventually(
			async () => (await state()).time > time + seconds,
			`${seconds} s more are played`,
			seconds + 15,
		);
	};
	let maxOffset = 0;
	/** Applies a fault and waits until the published playlists have switched to another source. */
	const expectSwitch = async (what, fault) => {
		const before = consistency.switches();
		const at = Date.now();
		await fault();
		await eventually(() => consistency.switches() > before, `${what}: a switch`, 40);
		t.diagnostic(`${what}: switched after ${((Date.now() - at) / 1000).toFixed(1)} s`);
		await waitForPlayback(4);
		if (playlists.length > 1) {
			const look = async () => ({
				offsetSeconds: await audioVideoOffset(edges[0], playlists[0], playlists[1]),
			});
			const { offsetSeconds } = await eventually(look, `${what}: picture and sound`, 10);
			assert.ok(offsetSeconds < 0.1, `${what}: picture and sound are ${offsetSeconds} s apart`);
			maxOffset = Math.max(maxOffset, offsetSeconds);
		}
	};
	const stalls = [];
	/** Switches as an operator does, and asserts that no viewer could see the switch. */
	const switchByOperator = async (name) => {
		await eventually(async () => (await health(name)) === 'healthy', `${name} can play`, 60);
		await page.evaluate(() => (window.planned = window.watch()));
		await expectSwitch(`${name} is wanted`, () => clusterUnderTest.switchTo(name));
		const shown = async () => (await state()).discontinuity >= consistency.switches();
		await eventually(shown, `what ${name} delivers is shown`, 20);
		await waitForPlayback(2);
		const { longestMs, skipped, waited } = await page.evaluate(() => window.planned);
		stalls.push(longestMs / 1000);
		const what = `${name}: stood for ${longestMs} ms, left out ${skipped} s, waited ${waited} times`;
		assert.ok(longestMs / 1000 < VISIBLE_GAP_SECONDS && skipped < VISIBLE_GAP_SECONDS && waited === 0, what);
		assert.equal(await servingSource(), name);
		assert.equal(await active(), name);
	};
	for (let round = 0; round < ROUNDS; round++) {
		const [now, next] = (await servingSource()) === 'club' ? ['club', 'mirror'] : ['mirror', 'club'];
		await switchByOperator(next);
		await switchByOperator(now);
		for (const [fault, what] of FAULTS) {
			const name = await servingSource();
			const source = { club: preferred, mirror: fallback }[name];
			await expectSwitch(`${name} ${what}`, () => (source.fault = fault));
			source.fault = 'none';
			await eventually(async () => (await health(name)) === 'healthy', `${name} is back`, 60);
		}
		await clusterUnderTest.stopRedis();
		await waitForPlayback(4);
		await clusterUnderTest.startRedis();
		await waitForPlayback(3);
		await clusterUnderTest.flush();
		await waitForPlayback(3);
		if (round === 0) {
			const leader = await eventually(clusterUnderTest.leader, 'somebody leads');
			await leader.child.stop('SIGKILL');
			clusterUnderTest.controls.splice(clusterUnderTest.controls.indexOf(leader), 1);
			await waitForPlayback(3);
		}
		await clusterUnderTest.restart(edges[1]);
		await waitForPlayback(3);
	}
	// Two tokens of the serving source expire, and playback goes on without a switch.
	if ((await servingSource()) !== 'club') await switchByOperator('club');
	// If an edge switched by itself, the upstream map may still rank the other source first: the command aligns it.
	else await clusterUnderTest.switchTo('club');
	const before = { switches: consistency.switches(), delivered: preferred.delivered.length };
	const delivered = () => preferred.delivered.slice(before.delivered);
	const deadline = Date.now() + 4 * TOKEN_TTL * 1000;
	while (expiredTokens(delivered()).length < 2) {
		assert.ok(Date.now() < deadline, `tokens: ${delivered().map(({ expires }) => expires)}`);
		await waitForPlayback(2);
	}
	assert.equal(consistency.switches(), before.switches, 'no other source was needed');
	const newest = (all) => Math.max(...all.map(({ number }) => number));
	const [from, to] = [newest(preferred.delivered.slice(0, before.delivered)), newest(preferred.delivered)];
	const all = new Set(preferred.delivered.map(({ number }) => number));
	// The newest segment may have been delivered out of order, so it is not checked.
	for (let number = from; number < to - 1; number++)
		assert.ok(all.has(number), `${number} came from elsewhere`);
	const ended = expiredTokens(delivered()).length;

	const { time, longestMs, at, errors } = await state();
	const seconds = (Date.now() - began) / 1000;
	const result = await consistency.end();
	t.diagnostic(
		`${(time - first).toFixed(1)} s played in ${seconds.toFixed(1)} s; it stood for ${(longestMs / 1000).toFixed(1)} s at most, at ${new Date(at).toISOString()}`,
	);
	t.diagnostic(
		`${result.published} segments published alike, ${result.compared} compared by their bytes, ${result.discontinuities} discontinuities`,
	);
	t.diagnostic(`${ended} tokens ended while their source played, which delivered all of ${from} to ${to}`);
	t.diagnostic(`planned switches: it stood for ${Math.max(...stalls).toFixed(2)} s at most`);
	t.diagnostic(`picture and sound ${(maxOffset * 1000).toFixed(0)} ms apart at most`);
	const errorNames = errors.map(({ details }) => details);
	const counted = [...new Set(errorNames)].map(
		(one) => `${one} ${errorNames.filter((name) => name === one).length}`,
	);
	t.diagnostic(`what hls.js said: ${counted.join(', ')}`);
	assert.deepEqual(
		errors.filter(({ fatal }) => fatal),
		[],
	);
	assert.ok(longestMs / 1000 < TARGET_DURATION + 2, `currentTime stood for ${longestMs} ms`);
	assert.ok(result.compared > 10);
	const decoded = [...ffmpeg.output().matchAll(/out_time_us=(\d+)/g)].at(-1)?.[1] / 1e6;
	t.diagnostic(`ffmpeg decoded ${decoded} s`);
	assert.ok(decoded > seconds * 0.7, `ffmpeg: ${decoded} s in ${seconds} s: ${ffmpeg.output()}`);
});
