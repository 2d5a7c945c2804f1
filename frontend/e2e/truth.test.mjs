// The page tells what is so: which session is on, whether pictures come, and whose fault it is when they do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, videos } from './support/browser.mjs';
import { mock, RACE } from './support/mock.mjs';
import { eventually } from './support/process.mjs';
import { still } from './support/still.mjs';

const LAKESIDE = '2026:lakeside-grand-prix:lakeside';
const STREAMS = ['world-feed', 'onboard-44', 'pit-lane'];

const playing = async (page, tiles = 1) => {
	const all = await videos(page);
	return all.length === tiles && all.every(({ time, paused }) => time > 1 && !paused);
};
const edgeOf = (page) => page.getByTestId('live-edge').first().getAttribute('data-edge');

test('a session that is not on shows its own page, and one that is not known says so', async (t) => {
	const edge = await mock(t);
	for (const [session, expected, says] of [
		[`${LAKESIDE}:race`, 'waiting', /Starts in/i],
		['2026:canyon-grand-prix:canyon:fp1', 'waiting', /is over/],
		[`${LAKESIDE}:fp2`, 'waiting', /is cancelled/],
		['2026:monsoon-grand-prix:monsoon:race', 'waiting', /still to be confirmed/],
		['no-such-session', 'unknown-session', /There is no session “no-such-session”/],
	]) {
		const { page, seen } = await open(t);
		await page.goto(`${edge.origin}/watch/${session}?l=1&s=world-feed`);
		const shown = page.getByTestId(expected);
		await shown.waitFor({ timeout: 10_000 });
		assert.match(await shown.innerText(), says);
		assert.equal(await page.locator('video').count(), 0, session);
		assert.equal(await page.getByText('No session is on').count(), 0, `${session}: one is`);
		assert.ok(!seen.requests.some((url) => url.endsWith('.ts')), `${session}: no media`);
		await page.getByTestId('live-now').getByRole('link', { name: 'Watch' }).click();
		await eventually(async () => (await videos(page))[0]?.time > 0, 'the live one plays');
	}
});

test('a session that begins plays by itself, and one that ends stays until it is left', async (t) => {
	const edge = await mock(t, 'upcoming');
	const { page } = await open(t);
	await page.clock.install();
	await page.goto(`${edge.origin}/watch/${RACE}`);
	await page.getByTestId('waiting').waitFor();
	const pass = async (done, what) =>
		eventually(async () => {
			await page.clock.runFor(2_000);
			return done();
		}, what);
	await edge.scenario('live');
	await pass(async () => (await videos(page))[0]?.time > 0, 'the race has begun');
	await edge.scenario('over');
	await pass(async () => (await page.getByText('Finished').count()) > 0, 'the race has ended');
	assert.equal(await page.locator('video').count(), 1, 'its picture is not taken away');
	await page.getByRole('link', { name: 'Schedule' }).first().click();
	await page.goto(`${edge.origin}/watch/${RACE}`);
	await page.getByText('is over').waitFor();
	assert.equal(await page.locator('video').count(), 0, 'and does not come again');
});

test('LIVE is red only while pictures come, and its distance is of the clock', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	const chip = page.getByTestId('live-edge');
	const dot = () =>
		chip
			.locator('span')
			.first()
			.evaluate((span) => getComputedStyle(span).backgroundColor);
	const distance = async () => Number(/−([\d.]+) s/.exec(await chip.innerText())?.[1]);
	await eventually(async () => (await edgeOf(page)) === 'live', 'live');
	const red = await dot();
	assert.equal(await chip.getAttribute('data-by'), 'clock');

	await page.keyboard.press('k');
	await eventually(async () => (await edgeOf(page)) === 'paused', 'paused');
	assert.notEqual(await dot(), red);
	const [before, at] = [await distance(), Date.now()];
	await page.waitForTimeout(4_000);
	const [grown, passed] = [(await distance()) - before, (Date.now() - at) / 1_000];
	assert.ok(Math.abs(grown - passed) < 1.1, `paused for ${passed} s it is ${grown} s further behind`);
	await chip.click();
	await eventually(async () => (await edgeOf(page)) === 'live', 'live again');
});

test("the viewer's own lost network is not a fault of the sources", async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	await eventually(async () => (await edgeOf(page)) === 'live', 'live');
	const moved = await still(page);
	await page.context().setOffline(true);
	const banner = page.getByTestId('stale-banner');
	await banner.filter({ hasText: 'You are offline' }).waitFor({ timeout: 5_000 });
	await eventually(async () => (await edgeOf(page)) === 'stalled', 'stalled', 40);
	for (let second = 0; second < 20; second += 1) {
		assert.equal(await page.getByText(/sources? (is|are) down|not answer|broke off/).count(), 0);
		assert.notEqual(await edgeOf(page), 'live');
		await page.waitForTimeout(1_000);
	}
	await page.context().setOffline(false);
	await eventually(async () => (await edgeOf(page)) === 'live', 'live after the network is back', 20);
	await eventually(async () => (await banner.count()) === 0, 'the banner goes with its reason', 2);
	assert.deepEqual(await moved(), []);
});

test('all streams are down: which, and since when; one that comes back plays by itself', async (t) => {
	const edge = await mock(t);
	const { page, seen } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=2&s=world-feed,onboard-44`);
	await eventually(() => playing(page, 2), 'both play');
	await page.evaluate(() => (window.loadedOnce = true));
	await Promise.all(STREAMS.map((id) => edge.stream(id, false)));
	const tile = (id) => page.locator(`[data-testid=tile][data-stream=${id}]`);
	for (const id of ['world-feed', 'onboard-44']) {
		await tile(id).getByTestId('tile-down').waitFor({ timeout: 60_000 });
		assert.match(
			await tile(id).getByTestId('tile-down').innerText(),
			/All sources are down.*Down for \d+ s/s,
		);
	}
	assert.deepEqual(
		await page
			.getByTestId('stream')
			.evaluateAll((all) =>
				all.map((one) => [
					one.dataset.stream,
					/Down for \d+ (s|min)/.exec(one.innerText)?.[0].replace(/\d+ s/, 'some seconds'),
				]),
			),
		[...STREAMS.map((id) => [id, 'Down for some seconds']), ['data-channel', 'Down for 12 min']],
	);
	const before = seen.requests.length;
	await page.waitForTimeout(20_000);
	const asked = seen.requests.length - before;
	t.diagnostic(`${asked} requests in 20 s while two tiles are down`);
	assert.ok(asked <= 24, `${asked} requests in 20 s`);

	await edge.stream('world-feed', true);
	const time = async (id) =>
		tile(id)
			.locator('video')
			.evaluate((video) => video.currentTime);
	await eventually(
		async () => (await tile('world-feed').getAttribute('data-phase')) === 'playing',
		'one plays',
		20,
	);
	const from = await time('world-feed');
	await eventually(async () => (await time('world-feed')) > from + 3, 'and plays on', 10);
	assert.equal(await tile('onboard-44').getByTestId('tile-down').count(), 1, 'the other is still down');
	assert.equal(await page.evaluate(() => window.loadedOnce), true, 'without a reload');
});

test('a wall that was opened while all is down plays what comes back first', async (t) => {
	const edge = await mock(t);
	await Promise.all(STREAMS.map((id) => edge.stream(id, false)));
	const { page } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}`);
	const searching = page.getByTestId('searching');
	await searching.waitFor();
	assert.match(await searching.innerText(), /All streams are down/);
	const listed = page.locator('[data-testid=stream][data-stream=onboard-44]');
	assert.match(await listed.innerText(), /Down for \d+ s.*Alpha CDN: playlist: 503/s);
	await edge.stream('onboard-44', true);
	await eventually(() => playing(page), 'it plays by itself', 20);
	assert.equal(await page.locator('video').getAttribute('data-stream'), 'onboard-44');
});

test('a document that is not as expected is said, and leaves no empty window', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	const streams = '**/api/streams';
	await page.route(streams, (route) => route.fulfill({ json: { streams: [{ id: 'odd', sources: [{}] }] } }));
	await page.goto(`${edge.origin}/status`);
	const fault = page.getByTestId('page-fault');
	await fault.waitFor();
	assert.equal(await page.getByRole('navigation').count(), 1, 'the rest of the page is there');
	await page.unroute(streams);
	await page.getByRole('button', { name: 'Load it again' }).click();
	await page.getByTestId('stream-status').nth(3).waitFor();
});

test('a stream is not called gone before the edge has said which there are', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	let answer;
	const asked = new Promise((resolve) => (answer = resolve));
	for (const name of ['bootstrap', 'streams'])
		await page.route(`**/api/${name}`, async (route) => {
			await asked;
			await route.continue();
		});
	await page.goto(`${edge.origin}/watch?bare&s=world-feed,gone`);
	await page.getByTestId('tile').nth(1).waitFor();
	assert.equal(await page.getByText('not on offer').count(), 0);
	assert.equal(await page.getByTestId('buffering').count(), 2, 'both wait');
	answer();
	await page.getByTestId('tile-searching').waitFor();
	assert.match(await page.getByTestId('tile-searching').innerText(), /“gone” is not on offer/);
	await eventually(async () => (await videos(page))[0].time > 0, 'the other plays');
});
