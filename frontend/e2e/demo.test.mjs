// `pitwall demo` end to end: schedule, extract, check, publish, relay, play.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import path from 'node:path';
import { eventually, freePort, startPitwall, ROOT } from './support/process.mjs';
import { openPage, firstPlayAfterMs, strayRequests, videoStates } from './support/browser.mjs';

const SECONDS = process.env.FULL ? 600 : 60;
const TOKEN_TTL = 25;

async function startDemo(t) {
	const port = await freePort();
	const process = startPitwall(['demo', '--listen', `127.0.0.1:${port}`, '--token-ttl', String(TOKEN_TTL)]);
	t.after(() => process.stop());
	await process.untilOutput(/A session is live: /);
	return { origin: `http://127.0.0.1:${port}`, process };
}

const json = async (url) => (await fetch(url)).json();

test('the demo plays across token expiries, all from one origin', async (t) => {
	const { origin } = await startDemo(t);
	await eventually(
		async () =>
			(await json(`${origin}/api/streams`)).streams.filter(({ health }) => health !== 'down').length === 4,
		'four streams',
	);
	const { page, traffic } = await openPage(t);
	await page.goto(`${origin}/`);
	await page.waitForFunction(() => performance.getEntriesByName('pitwall:playing').length > 0, null, {
		timeout: 15_000,
	});
	const playing = await firstPlayAfterMs(page);
	t.diagnostic(`playing after ${Math.round(playing)} ms`);
	assert.ok(playing < 3000, `playing after ${playing} ms`);
	assert.match(page.url(), /\/watch\//, 'a live session is what / leads to');

	// The expiry of every token that the page played with, as /api/streams shows it.
	const expiries = new Set();
	assert.equal(await page.locator('video').first().getAttribute('data-stream'), 'world-feed');
	const [first] = await videoStates(page);
	const begin = Date.now();
	let last = first.time;
	while (Date.now() - begin < SECONDS * 1000) {
		const playsOn = async () => (await videoStates(page))[0].time > last + 5;
		await eventually(playsOn, `it plays for 5 s more after ${last}`, 7);
		[{ time: last }] = await videoStates(page);
		const { streams } = await json(`${origin}/api/streams`);
		const club = streams
			.find((stream) => stream.id === 'world-feed')
			.sources.find((s) => s.name === 'demo-club');
		assert.ok(club.active, 'the source whose tokens expire is the one that plays');
		expiries.add(club.expires_at);
	}
	const expired = [...expiries].filter((at) => Date.parse(at) < Date.now());
	t.diagnostic(`${last - first.time} s played, ${expired.length} tokens expired meanwhile`);
	assert.ok(expired.length >= 2, `tokens: ${[...expiries].join(', ')}`);
	assert.ok(last - first.time > SECONDS - 3, `${last - first.time} s played in ${SECONDS} s`);
	assert.deepEqual(strayRequests(traffic, origin), []);
	assert.deepEqual(traffic.consoleErrors, []);
	const media = traffic.requests.filter((url) => url.includes('/live/'));
	assert.ok(media.length > SECONDS / 2, `${media.length} requests for media`);
	const documents = ['bootstrap', 'schedule', 'streams', 'extractors', 'status', 'activity'];
	for (const document of documents) {
		const text = await (await fetch(`${origin}/api/${document}`)).text();
		assert.doesNotMatch(text, /https?:|sig=|exp=/, `${document} names an upstream`);
	}
});

test('all feeds on one wall, and the others go on when one leaves', async (t) => {
	const { origin, process: demo } = await startDemo(t);
	const wall = /on one clock: (\S+)/;
	const [, address] = wall.exec(await demo.untilOutput(wall));
	const { page, traffic } = await openPage(t);
	await page.goto(address);
	const playing = async (count) => {
		const all = await videoStates(page);
		return (
			all.length === count && all.every((video) => video.time > 1 && !video.paused && video.width > 0) && all
		);
	};
	const all = await eventually(() => playing(4), 'all play', 30);
	for (const side of ['width', 'height']) {
		const sizes = all.map(({ box }) => box[side]);
		assert.ok(Math.max(...sizes) - Math.min(...sizes) < 2, `${side}: ${sizes.join(', ')}`);
	}
	assert.ok(all.filter((video) => !video.muted).length <= 1, 'one is heard at most');
	const picture = process.env.PICTURE ?? path.join(ROOT, 'target/demo.png');
	await page.screenshot({ path: picture });

	await page.getByTestId('remove-tile').nth(1).click();
	const [remaining] = await eventually(() => playing(3), 'the others play on');
	await eventually(async () => (await videoStates(page))[0].time > remaining.time + 1, 'and on');
	assert.deepEqual(strayRequests(traffic, origin), []);
	assert.deepEqual(traffic.consoleErrors, []);
});

test('the viewer chooses a quality', async (t) => {
	const { origin } = await startDemo(t);
	const { page } = await openPage(t);
	await page.goto(`${origin}/`);
	await eventually(async () => (await videoStates(page))[0]?.time > 1, 'it plays');
	await page.locator('video').first().hover();
	await page.getByTestId('quality').first().click();
	await page.getByText('180p').first().click();
	await eventually(async () => (await videoStates(page))[0].height === 180, 'the picture is 180 high');
	await page.goto(`${origin}/schedule`);
	await page.getByText('Harbour Grand Prix').first().waitFor();
	await page.goto(`${origin}/status`);
	await page.getByText('demo-club').first().waitFor();
});
