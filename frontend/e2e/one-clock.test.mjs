// All tiles show the same moment: read from their pictures, which carry the number of the frame.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openPage } from './support/browser.mjs';
import { readPictures, startDateOrigin } from './support/date-origin.mjs';
import { sourceSection, startEdge, tempFolder, waitUntilHealthy } from './support/edge.mjs';
import { eventually } from './support/process.mjs';

const TOKEN = 'token-of-the-operator-of-this-test';
const FEEDS = ['world-feed', 'onboard-7', 'onboard-22', 'pit-lane'];

/** An edge with four streams of one picture; the first has a second source, which is 2 s later and counts otherwise. */
async function startEdgeWithFourStreams(t) {
	const origin = await startDateOrigin(t);
	const folder = tempFolder(t);
	const tokenFile = path.join(folder, 'token');
	writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
	const section = (name, feed, options, more) =>
		sourceSection(name, feed, `${origin}/${name}/${options}/master.m3u8`, more);
	const edge = await startEdge(
		t,
		`[access]\nadmin_token_file = "${tokenFile}"\n` +
			section('near', 'World feed', 'plain', 'priority = 1') +
			section('far', 'World feed', 'late1+from500', 'priority = 0') +
			section('seven', 'Onboard 7', 'plain') +
			section('twenty-two', 'Onboard 22', 'late1') +
			section('pit', 'Pit lane', 'plain'),
		folder,
	);
	await waitUntilHealthy(edge.origin, FEEDS);
	await eventually(async () => {
		const { sources } = await (await fetch(`${edge.origin}/api/streams/world-feed`)).json();
		return sources.length === 2 && sources.every(({ health }) => health === 'healthy');
	}, 'both sources of the world feed');
	return edge;
}

test('four tiles are within 100 ms, and stay so through a switch of the source', async (t) => {
	const edge = await startEdgeWithFourStreams(t);
	const { page, traffic } = await openPage(t);
	await page.goto(`${edge.origin}/watch?l=2x2&s=${FEEDS}&a=onboard-7`);
	const readMoments = await readPictures(page);
	const openedAt = Date.now();
	const spread = async () => {
		const moments = await readMoments();
		if (moments.length === 0 || moments.includes(null)) return Infinity;
		return Math.max(...moments) - Math.min(...moments);
	};
	/** Resolves once the tiles have been together for a second. */
	const settled = async (label, limit, seconds) => {
		const begin = Date.now();
		let since = null;
		await eventually(
			async () => {
				const now = await spread();
				if (now >= limit) since = null;
				else since ??= Date.now();
				return since !== null && Date.now() - since > 1_000;
			},
			`${label}: within ${limit} ms`,
			seconds,
		);
		let worst = 0;
		for (let round = 0; round < 10; round += 1) {
			worst = Math.max(worst, await spread());
			await page.waitForTimeout(100);
		}
		t.diagnostic(
			`${label}: within ${limit} ms after ${((since - begin) / 1000).toFixed(1)} s, then at most ${worst.toFixed(0)} ms apart`,
		);
		assert.ok(worst < limit, `${label}: ${worst} ms`);
	};
	await eventually(async () => (await spread()) < Infinity, 'all play');
	t.diagnostic(
		`${(await spread()).toFixed(0)} ms apart ${Date.now() - openedAt} ms after the page was opened`,
	);
	await page.evaluate(() => {
		// The second tile is heard, and leads.
		const [first, second, third] = document.querySelectorAll('video');
		first.currentTime -= 0.7;
		second.currentTime -= 0.3;
		third.currentTime -= 3;
	});
	await page.waitForTimeout(500);
	await settled('pushed apart', 100, 32);

	const switched = await fetch(`${edge.origin}/api/streams/world-feed/switch`, {
		method: 'POST',
		headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
		body: '{"source": "far"}',
	});
	assert.equal(switched.status, 200, await switched.text());
	// What the viewer sees changes when the buffer of about six seconds has been played.
	const samples = [];
	const activeSource = async () => {
		const { sources } = await (await fetch(`${edge.origin}/api/streams/world-feed`)).json();
		return sources.find(({ active }) => active)?.name;
	};
	const active = new Set();
	const switchedAt = Date.now();
	while (Date.now() - switchedAt < 16_000) {
		samples.push({ at: Date.now() - switchedAt, spread: await spread() });
		active.add(await activeSource());
		await page.waitForTimeout(200);
	}
	t.diagnostic(`active sources: ${[...active].join(', ')}`);
	const worst = (from) => Math.max(...samples.filter(({ at }) => at > from).map(({ spread }) => spread));
	t.diagnostic(
		`switch of a source: at most ${worst(0).toFixed(0)} ms apart in 16 s, ${worst(13_000).toFixed(0)} ms at the end`,
	);
	assert.ok(worst(13_000) < 250, `${worst(13_000)} ms apart 13 s after the switch`);
	assert.ok(active.has('far'), 'the other source has played');
	assert.deepEqual(traffic.consoleErrors, []);
});
