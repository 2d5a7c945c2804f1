// The page shows the true state: which session is live, whether frames come, and who is at fault if they do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';
import { watchLayout } from './support/layout-watch.mjs';

const LAKESIDE = '2026:lakeside-grand-prix:lakeside';
const STREAMS = ['world-feed', 'onboard-44', 'pit-lane'];

const playing = async (page, tiles = 1) => {
	const all = await videoStates(page);
	return all.length === tiles && all.every(({ time, paused }) => time > 1 && !paused);
};
const liveEdgeState = (page) => page.getByTestId('live-edge').first().getAttribute('data-edge');

test('a session that is not live shows its own page, and an unknown session says so', async (t) => {
	const edge = await startMockEdge(t);
	for (const [session, expected, expectedText] of [
		[`${LAKESIDE}:race`, 'waiting', /Starts in/i],
		['2026:canyon-grand-prix:canyon:fp1', 'waiting', /is over/],
		[`${LAKESIDE}:fp2`, 'waiting', /is cancelled/],
		['2026:monsoon-grand-prix:monsoon:race', 'waiting', /still to be confirmed/],
		['no-such-session', 'unknown-session', /There is no session “no-such-session”/],
	]) {
		const { page, traffic } = await openPage(t);
		await page.goto(`${edge.origin}/watch/${session}?l=1&s=world-feed`);
		const shown = page.getByTestId(expected);
		await shown.waitFor({ timeout: 10_000 });
		assert.match(await shown.innerText(), expectedText);
		assert.equal(await page.locator('video').count(), 0, session);
		assert.equal(await page.getByText('No session is on').count(), 0, `${session}: one is`);
		assert.ok(!traffic.requests.some((url) => url.endsWith('.ts')), `${session}: no media`);
		await page.getByTestId('live-now').getByRole('link', { name: 'Watch' }).click();
		await eventually(async () => (await videoStates(page))[0]?.time > 0, 'the live one plays');
	}
});

test('a session that begins plays by itself, and one that ends plays on until the page is left', async (t) => {
	const edge = await startMockEdge(t, 'upcoming');
	const { page } = await openPage(t);
	await page.clock.install();
	await page.goto(`${edge.origin}/watch/${RACE}`);
	await page.getByTestId('waiting').waitFor();
	const advanceUntil = async (done, what) =>
		eventually(async () => {
			await page.clock.runFor(2_000);
			return done();
		}, what);
	await edge.scenario('live');
	await advanceUntil(async () => (await videoStates(page))[0]?.time > 0, 'the race has begun');
	await edge.scenario('over');
	await advanceUntil(async () => (await page.getByText('Finished').count()) > 0, 'the race has ended');
	assert.equal(await page.locator('video').count(), 1, 'its picture is not taken away');
	await page.getByRole('link', { name: 'Schedule' }).first().click();
	await page.goto(`${edge.origin}/watch/${RACE}`);
	await page.getByText('is over').waitFor();
	assert.equal(await page.locator('video').count(), 0, 'and does not come again');
});

test('LIVE is red only while frames come, and the latency is measured with the clock', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	const liveEdgeButton = page.getByTestId('live-edge');
	const dotColor = () =>
		liveEdgeButton
			.locator('span')
			.first()
			.evaluate((span) => getComputedStyle(span).backgroundColor);
	const latency = async () => Number(/−([\d.]+) s/.exec(await liveEdgeButton.innerText())?.[1]);
	await eventually(async () => (await liveEdgeState(page)) === 'live', 'live');
	const red = await dotColor();
	assert.equal(await liveEdgeButton.getAttribute('data-by'), 'clock');

	await page.keyboard.press('k');
	await eventually(async () => (await liveEdgeState(page)) === 'paused', 'paused');
	assert.notEqual(await dotColor(), red);
	const [before, at] = [await latency(), Date.now()];
	await page.waitForTimeout(4_000);
	const [grown, passed] = [(await latency()) - before, (Date.now() - at) / 1_000];
	assert.ok(Math.abs(grown - passed) < 1.1, `paused for ${passed} s it is ${grown} s further behind`);
	await liveEdgeButton.click();
	await eventually(async () => (await liveEdgeState(page)) === 'live', 'live again');
});

test("the viewer's own lost network is not a fault of the sources", async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	await eventually(async () => (await liveEdgeState(page)) === 'live', 'live');
	const layoutChanges = await watchLayout(page);
	await page.context().setOffline(true);
	const banner = page.getByTestId('stale-banner');
	await banner.filter({ hasText: 'You are offline' }).waitFor({ timeout: 5_000 });
	await eventually(async () => (await liveEdgeState(page)) === 'stalled', 'stalled', 40);
	for (let second = 0; second < 20; second += 1) {
		assert.equal(await page.getByText(/sources? (is|are) down|not answer|broke off/).count(), 0);
		assert.notEqual(await liveEdgeState(page), 'live');
		await page.waitForTimeout(1_000);
	}
	await page.context().setOffline(false);
	await eventually(async () => (await liveEdgeState(page)) === 'live', 'live after the network is back', 20);
	await eventually(async () => (await banner.count()) === 0, 'the banner goes with its reason', 2);
	assert.deepEqual(await layoutChanges(), []);
});

test('when all streams are down the page lists them and since when, and one that comes back plays by itself', async (t) => {
	const edge = await startMockEdge(t);
	const { page, traffic } = await openPage(t);
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
	const before = traffic.requests.length;
	await page.waitForTimeout(20_000);
	const requestCount = traffic.requests.length - before;
	t.diagnostic(`${requestCount} requests in 20 s while two tiles are down`);
	assert.ok(requestCount <= 24, `${requestCount} requests in 20 s`);

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
	const edge = await startMockEdge(t);
	await Promise.all(STREAMS.map((id) => edge.stream(id, false)));
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}`);
	const searching = page.getByTestId('searching');
	await searching.waitFor();
	assert.match(await searching.innerText(), /All streams are down/);
	const streamEntry = page.locator('[data-testid=stream][data-stream=onboard-44]');
	assert.match(await streamEntry.innerText(), /Down for \d+ s.*Alpha CDN: playlist: 503/s);
	await edge.stream('onboard-44', true);
	await eventually(() => playing(page), 'it plays by itself', 20);
	assert.equal(await page.locator('video').getAttribute('data-stream'), 'onboard-44');
});

test('an unexpected document shows an error page and leaves no empty window', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	const streams = '**/api/streams';
	await page.route(streams, (route) => route.fulfill({ json: { streams: [{ id: 'odd', sources: [{}] }] } }));
	await page.goto(`${edge.origin}/status`);
	const pageError = page.getByTestId('page-fault');
	await pageError.waitFor();
	assert.equal(await page.getByRole('navigation').count(), 1, 'the rest of the page is there');
	await page.unroute(streams);
	await page.getByRole('button', { name: 'Load it again' }).click();
	await page.getByTestId('stream-status').nth(3).waitFor();
});

test('a stream is not called unlisted before the list of streams has arrived', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	let release;
	const released = new Promise((resolve) => (release = resolve));
	for (const name of ['bootstrap', 'streams'])
		await page.route(`**/api/${name}`, async (route) => {
			await released;
			await route.continue();
		});
	await page.goto(`${edge.origin}/watch?bare&s=world-feed,gone`);
	await page.getByTestId('tile').nth(1).waitFor();
	assert.equal(await page.getByText('not on offer').count(), 0);
	assert.equal(await page.getByTestId('buffering').count(), 2, 'both wait');
	release();
	await page.getByTestId('tile-searching').waitFor();
	assert.match(await page.getByTestId('tile-searching').innerText(), /“gone” is not on offer/);
	await eventually(async () => (await videoStates(page))[0].time > 0, 'the other plays');
});

test('a switch of the source is told at once, and why', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	await eventually(() => playing(page), 'it plays');
	const [world, alpha, beta] = ['world-feed', 'alpha', 'beta'];
	await eventually(
		async () => (await (await edge.event('source-died', { stream: world, source: alpha })).text()) !== '0',
		'the page listens',
	);
	await edge.switchSource(world);
	await edge.event('switched', { stream: world, from: alpha, to: beta });
	await page
		.getByTestId('notice')
		.filter({ hasText: 'World feed now comes from Beta relay, because Alpha CDN broke off.' })
		.waitFor({ timeout: 5_000 });
});
