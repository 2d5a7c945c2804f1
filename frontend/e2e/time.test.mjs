// Through time: the seek bar and its keys move the whole wall through what the edge holds; a link can hide spoilers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

test('the wall goes back and on in time, together, and is told how far', async (t) => {
	const edge = await startMockEdge(t);
	const { page, traffic } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=2&s=world-feed,onboard-44`);
	const bar = page.getByTestId('seek-bar');
	const live = page.getByTestId('wall-live');
	const isLive = async () => (await live.getAttribute('data-live')) === 'true';
	/** Seconds behind the live edge, as the button says it; 0 at the live edge. */
	const behind = async () => Number(/−(\d+) s/.exec(await live.innerText())?.[1] ?? 0);
	const behindBy = (least, most, label) =>
		eventually(async () => {
			const seconds = await behind();
			return seconds >= least && seconds <= most;
		}, label);
	const playing = async () => (await videoStates(page)).every(({ paused }) => !paused);
	await eventually(async () => Number(await bar.getAttribute('max')) > 28, 'the edge holds 28 s', 60);
	await eventually(isLive, 'live');
	assert.equal(await bar.getAttribute('aria-valuetext'), 'Live');

	// A picture of the moment that the pointer is on, from the smallest rendition, and only while it is there.
	const small = () => traffic.requests.filter((url) => url.includes('/world-feed/v1/'));
	const before = small().length;
	const { x, y, width, height } = await bar.boundingBox();
	await page.mouse.move(x + width * 0.4, y + height / 2);
	await page.locator('[data-testid=seek-preview][data-picture=true]').waitFor();
	await page.mouse.move(x + width * 0.4, y - 300);
	await page.getByTestId('seek-preview').waitFor({ state: 'detached' });
	const asked = small().length - before;
	t.diagnostic(`${asked} requests for a picture`);
	assert.ok(asked > 0 && asked <= 5, `${asked} requests for one picture`);
	await page.waitForTimeout(2_500);
	assert.ok(small().length - before <= asked + 1, 'nothing more is asked for');

	await page.keyboard.press('ArrowLeft');
	await behindBy(8, 12, 'one key is ten seconds');
	await page.locator('[data-testid=step][data-seconds="-10"]').click();
	await behindBy(18, 22, 'a button is ten more');
	assert.match(await bar.getAttribute('aria-valuetext'), /^\d+ seconds behind live$/);
	await eventually(playing, 'both play');
	await page.waitForTimeout(4_000);
	await behindBy(17, 23, 'and stay where they are');

	const box = await bar.boundingBox();
	await page.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 4 });
	await page.mouse.up();
	await behindBy(3, 14, 'dragged to four fifths');

	await page.keyboard.press('k');
	await eventually(async () => (await videoStates(page)).every(({ paused }) => paused), 'both are paused');
	await page.locator('h1').click();
	const times = async () => (await videoStates(page)).map(({ time }) => time);
	const paused = await times();
	await page.keyboard.press('.');
	await page.keyboard.press('.');
	const after = await times();
	for (const [tile, time] of after.entries())
		assert.ok(Math.abs(time - paused[tile] - 0.08) < 0.01, `two frames on: ${time - paused[tile]}`);

	await live.click();
	await eventually(async () => (await isLive()) && (await playing()), 'live again, both');
	assert.deepEqual(traffic.consoleErrors, []);
});

test('a link without spoilers shows no time, no state, no title that tells', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed&spoilers=off`);
	await eventually(async () => (await videoStates(page))[0]?.time > 1, 'it plays');
	await page.locator('video').hover();
	await page.getByTestId('live-edge').waitFor();
	assert.equal(await page.getByTestId('seek-bar').count(), 0);
	assert.equal(await page.title(), 'Watch · Pitwall');
	const text = await page.locator('main').innerText();
	assert.doesNotMatch(text, /Live\s*−|Today|Finished|\d:\d\d/i);
	await page.getByTestId('layout-menu').click();
	await page.getByRole('menu').getByText('Four', { exact: true }).click();
	assert.match(page.url(), /l=2x2&s=world-feed&spoilers=off$/, 'the link stays without spoilers');
	await page.getByTestId('hide-spoilers').click();
	await page.getByTestId('seek-bar').waitFor();
	assert.doesNotMatch(page.url(), /spoilers/);
});
