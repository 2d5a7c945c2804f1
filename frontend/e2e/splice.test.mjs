// One stream that never ends: sources die, freeze, count anew and come back, tokens end, Redis comes and goes,
// the leader is killed and an edge restarts, while hls.js and ffmpeg play it through a plain load balancer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { balancer } from './support/balancer.mjs';
import { open } from './support/browser.mjs';
import { demoOrigin, scratch, source } from './support/edge.mjs';
import { faulty } from './support/faulty.mjs';
import { foreignPage } from './support/player.mjs';
import { eventually, freePort, pitwall, start } from './support/process.mjs';
import { gap } from './support/step.mjs';
import { witness } from './support/witness.mjs';

const ROUNDS = process.env.FULL ? 4 : 1;
const TOKEN_TTL = 25;
/** Of the origin, in seconds. */
const TARGET = 2;
/** What a viewer does not see, in seconds: the clock of the picture is looked at twenty times a second. */
const UNSEEN = 0.25;
const ADMIN_TOKEN = 'a'.repeat(40);
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
	const folder = scratch(t);
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
${source('mirror', 'World feed', `${other.base}/open/world-feed/master.m3u8`)}`,
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
			// Nobody is sent to a loopback address unasked.
			CONTROL__ADVERTISE: listen,
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
		/** By an operator, who need not know which control plane leads. */
		async switchTo(source) {
			const answer = await fetch(`http://127.0.0.1:${controls[0].listen}/api/streams/${LIVE}/switch`, {
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

/** The longest that `currentTime` stood, in milliseconds, and the most that it left out, in seconds. */
async function watchTime(page) {
	await page.evaluate(() => {
		const video = document.querySelector('video');
		const begin = () => ({ longest: 0, at: 0, skipped: 0, waited: 0 });
		const all = [];
		window.watch = () => all[all.push(begin()) - 1];
		window.seen = window.watch();
		video.addEventListener('waiting', () => all.forEach((seen) => seen.waited++));
		let [since, time] = [performance.now(), video.currentTime];
		setInterval(() => {
			const [now, shown] = [performance.now(), video.currentTime];
			const [passed, skipped] = [now - since, shown - time - (now - since) / 1000];
			for (const seen of all) {
				if (shown === time && passed > seen.longest) Object.assign(seen, { longest: passed, at: Date.now() });
				seen.skipped = Math.max(seen.skipped, skipped);
			}
			if (shown !== time) [since, time] = [now, shown];
		}, 50);
	});
}

/** The tokens that a source was played with and that ended, by what it delivered: it went on with a later one. */
function tokensEnded(delivered) {
	const count = new Map();
	for (const { expires } of delivered) count.set(expires, (count.get(expires) ?? 0) + 1);
	// A check asks for a segment or two; who plays asks for all.
	const played = [...count.keys()].filter((expires) => count.get(expires) > 4);
	const last = Math.max(...played);
	return played.filter((expires) => expires < last && expires < Date.now() / 1000);
}

test('a stream goes on whatever happens to its sources and to what carries it', async (t) => {
	const origin = await demoOrigin(t, '--token-ttl', `${TOKEN_TTL}`);
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
	const active = async () => (await sources()).find((one) => one.active)?.name;
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

	const plays = async (seconds) => {
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
	const stalls = [];
	/** Nobody sees an operator do this. */
	const planned = async (name) => {
		await eventually(async () => (await health(name)) === 'healthy', `${name} can play`, 60);
		await page.evaluate(() => (window.planned = window.watch()));
		await switches(`${name} is wanted`, () => them.switchTo(name));
		const shown = async () => (await state()).discontinuity >= seen.switches();
		await eventually(shown, `what ${name} delivers is shown`, 20);
		await plays(2);
		const { longest, skipped, waited } = await page.evaluate(() => window.planned);
		stalls.push(longest / 1000);
		const what = `${name}: stood for ${longest} ms, left out ${skipped} s, waited ${waited} times`;
		assert.ok(longest / 1000 < UNSEEN && skipped < UNSEEN && waited === 0, what);
		assert.equal(await playing(), name);
		assert.equal(await active(), name);
	};
	for (let round = 0; round < ROUNDS; round++) {
		const [now, next] = (await playing()) === 'club' ? ['club', 'mirror'] : ['mirror', 'club'];
		await planned(next);
		await planned(now);
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
	// Two tokens of the source that plays end, and it plays on.
	if ((await playing()) !== 'club') await planned('club');
	// Where an edge knew better it need not be what the map has first: from here on it is.
	else await them.switchTo('club');
	const before = { switches: seen.switches(), delivered: best.delivered.length };
	const delivered = () => best.delivered.slice(before.delivered);
	const deadline = Date.now() + 4 * TOKEN_TTL * 1000;
	while (tokensEnded(delivered()).length < 2) {
		assert.ok(Date.now() < deadline, `tokens: ${delivered().map(({ expires }) => expires)}`);
		await plays(2);
	}
	assert.equal(seen.switches(), before.switches, 'no other source was needed');
	const newest = (all) => Math.max(...all.map(({ number }) => number));
	const [from, to] = [newest(best.delivered.slice(0, before.delivered)), newest(best.delivered)];
	const all = new Set(best.delivered.map(({ number }) => number));
	// What is on its way now may overtake.
	for (let number = from; number < to - 1; number++)
		assert.ok(all.has(number), `${number} came from elsewhere`);
	const ended = tokensEnded(delivered()).length;

	const { time, longest, at, errors } = await state();
	const seconds = (Date.now() - began) / 1000;
	const result = await seen.end();
	t.diagnostic(
		`${(time - first).toFixed(1)} s played in ${seconds.toFixed(1)} s; it stood for ${(longest / 1000).toFixed(1)} s at most, at ${new Date(at).toISOString()}`,
	);
	t.diagnostic(
		`${result.published} segments published alike, ${result.compared} compared by their bytes, ${result.discontinuities} discontinuities`,
	);
	t.diagnostic(`${ended} tokens ended while their source played, which delivered all of ${from} to ${to}`);
	t.diagnostic(`planned switches: it stood for ${Math.max(...stalls).toFixed(2)} s at most`);
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
