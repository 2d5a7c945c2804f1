// How an open page behaves: what it asks for, what a finger reaches, and whether it tells the truth.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, videos } from './support/browser.mjs';
import { mock, RACE } from './support/mock.mjs';
import { eventually } from './support/process.mjs';

const SECONDS = 120;
const MOST_IN_TEN_SECONDS = 8;

/** Every state that a page can be left open in. */
const left = [
	['schedule', 'live', '/schedule'],
	['one tile', 'live', `/watch/${RACE}?l=1&s=world-feed`],
	['two tiles', 'live', `/watch/${RACE}?l=2&s=world-feed,onboard-44`],
	['waiting', 'upcoming', `/watch/${RACE}`],
	['searching', 'searching', `/watch/${RACE}`],
	['unknown session', 'live', '/watch/no-such-session'],
	['status', 'live', '/status'],
	['status without an API', 'broken', '/status'],
	['watch without an API', 'broken', '/watch'],
];

const isApi = (url) => new URL(url).pathname.startsWith('/api/');

/** Runs the page's timers through so many seconds; gives the requests of each ten. FULL=1: in real time. */
async function leave(page, seen, seconds) {
	const tens = [];
	for (let second = 0; second < seconds; second += 10) {
		const before = seen.requests.filter(isApi).length;
		if (process.env.FULL) await page.waitForTimeout(10_000);
		// Answers come in real time: a second of the page's is given some milliseconds.
		else
			for (let step = 0; step < 10; step += 1) {
				await page.clock.runFor(1_000);
				await new Promise((resolve) => setTimeout(resolve, 15));
			}
		tens.push(seen.requests.filter(isApi).length - before);
	}
	return tens;
}

async function hide(page, hidden) {
	await page.evaluate(
		(state) => {
			Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
			document.dispatchEvent(new Event('visibilitychange'));
		},
		hidden ? 'hidden' : 'visible',
	);
}

test('an open page asks at a steady pace, and nothing while hidden', async (t) => {
	const edge = await mock(t);
	for (const [name, scenario, address] of left) {
		await t.test(name, async (t) => {
			await edge.scenario(scenario);
			const { page, seen } = await open(t);
			if (!process.env.FULL) await page.clock.install();
			await page.goto(edge.origin + address);
			await page.waitForTimeout(500);
			const tens = await leave(page, seen, SECONDS);
			t.diagnostic(`${name}: ${tens.join(' ')}`);
			assert.ok(Math.max(...tens) <= MOST_IN_TEN_SECONDS, `requests in each ten seconds: ${tens}`);
			assert.ok(tens.at(-1) <= Math.max(...tens.slice(0, 6)), `no more than at first: ${tens}`);
			await hide(page, true);
			await page.waitForTimeout(200);
			const hidden = await leave(page, seen, process.env.FULL ? 30 : SECONDS);
			assert.deepEqual([...new Set(hidden)], [0], `hidden: ${hidden}`);
		});
	}
});

/** A phone: Chromium with a touch screen and nothing else. */
async function phone(t, viewport = { width: 390, height: 844 }) {
	const { page: desk } = await open(t);
	const context = await desk.context().browser().newContext({ viewport, hasTouch: true, isMobile: true });
	return context.newPage();
}

test('ten taps on a phone, and every control can be reached each time', async (t) => {
	const edge = await mock(t);
	const page = await phone(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	await eventually(async () => (await videos(page))[0]?.time > 1, 'it plays');
	const shown = () =>
		page.evaluate(() => getComputedStyle(document.querySelector('.chrome')).pointerEvents !== 'none');
	const box = await page.locator('video').boundingBox();
	const tapPicture = () => page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
	const tap = async (id) => {
		const at = await page.getByTestId(id).boundingBox();
		await page.touchscreen.tap(at.x + at.width / 2, at.y + at.height / 2);
	};
	await eventually(async () => !(await shown()), 'the controls go by themselves', 10);
	for (let round = 0; round < 10; round += 1) {
		await tapPicture();
		await eventually(shown, `round ${round}: the controls are there`, 3);
		const muted = (await videos(page))[0].muted;
		await tap('mute');
		await eventually(async () => (await videos(page))[0].muted !== muted, `round ${round}: mute`, 3);
		for (const menu of ['quality', 'tile-stream']) {
			await tap(menu);
			await page.getByRole('menu').waitFor({ timeout: 3_000 });
			await tap(menu);
			await page.getByRole('menu').waitFor({ state: 'detached', timeout: 3_000 });
		}
		await tap('fullscreen');
		await eventually(() => page.evaluate(() => document.fullscreenElement !== null), 'full screen', 3);
		await page.evaluate(() => document.exitFullscreen());
		await eventually(
			async () => {
				const now = await page.locator('video').boundingBox();
				return Math.abs(now.y - box.y) < 2 && Math.abs(now.width - box.width) < 2;
			},
			'and back',
			3,
		);
		await tapPicture();
		await eventually(async () => !(await shown()), `round ${round}: a tap puts them away`, 5);
		assert.equal((await videos(page))[0].paused, false, `round ${round}: it plays on`);
	}
});

test('with two tiles a click hears and never pauses', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=2&s=world-feed,onboard-44`);
	await eventually(async () => {
		const all = await videos(page);
		return all.length === 2 && all.every(({ time }) => time > 1);
	}, 'both play');
	for (const tile of [1, 1, 0, 0, 0]) {
		await page.locator('video').nth(tile).click();
		await page.waitForTimeout(600);
		const all = await videos(page);
		assert.deepEqual(
			all.map(({ muted, paused }) => [muted, paused]),
			[0, 1].map((n) => [n !== tile, false]),
		);
	}
});

test('a session that is not on shows its own page, and one that is not known says so', async (t) => {
	const edge = await mock(t);
	for (const [session, expected] of [
		['2026:lakeside-grand-prix:lakeside:race', 'waiting'],
		['2026:canyon-grand-prix:canyon:fp1', 'waiting'],
		['2026:lakeside-grand-prix:lakeside:fp2', 'waiting'],
		['2026:monsoon-grand-prix:monsoon:race', 'waiting'],
		['no-such-session', 'unknown-session'],
	]) {
		const { page, seen } = await open(t);
		await page.goto(`${edge.origin}/watch/${session}?l=1&s=world-feed`);
		await page.getByTestId(expected).waitFor({ timeout: 10_000 });
		assert.equal(await page.locator('video').count(), 0, session);
		assert.ok(!seen.requests.some((url) => url.endsWith('.ts')), `${session}: no media`);
		await page.getByTestId('live-now').getByRole('link', { name: 'Watch' }).click();
		await eventually(async () => (await videos(page))[0]?.time > 0, 'the live one plays');
	}
});

test('LIVE is red only while pictures come, and an edge that is gone is not the sources', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
	const chip = () => page.getByTestId('live-edge').getAttribute('data-edge');
	await eventually(async () => (await chip()) === 'live', 'live');
	assert.equal(await page.getByTestId('live-edge').getAttribute('data-by'), 'clock');
	const distance = async () =>
		Number(/−([\d.]+) s/.exec(await page.getByTestId('live-edge').innerText())?.[1]);
	await page.keyboard.press('k');
	await eventually(async () => (await chip()) === 'paused', 'paused');
	const before = await distance();
	await page.waitForTimeout(4_000);
	const grown = (await distance()) - before;
	assert.ok(grown > 3 && grown < 5.5, `paused for 4 s it is ${grown} s further behind`);
	await page.getByTestId('live-edge').click();
	await eventually(async () => (await chip()) === 'live', 'live again');

	const top = async () => (await page.locator('video').boundingBox()).y;
	const y = await top();
	await page.context().setOffline(true);
	const banner = page.getByTestId('stale-banner');
	await banner.filter({ hasText: 'You are offline' }).waitFor({ timeout: 5_000 });
	assert.equal(await top(), y, 'the banner moves nothing');
	await eventually(async () => (await chip()) === 'stalled', 'stalled', 40);
	assert.equal(await page.getByText('All sources are down').count(), 0);
	await page.context().setOffline(false);
	await eventually(async () => (await chip()) === 'live', 'live after the network is back', 20);
	assert.equal(await banner.count(), 0, 'the banner went with its reason');
});
