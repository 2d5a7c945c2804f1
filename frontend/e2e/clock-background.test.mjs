// The clock of the wall through what a viewer does: another tab in front for a while, and another quality.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTabs, videoStates } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

test('tiles are in step again after the page was hidden, and after a change of quality', async (t) => {
	const edge = await startMockEdge(t);
	const { page, traffic, hide, show } = await openTabs(t);
	await page.goto(`${edge.origin}/watch/${RACE}?l=2&s=world-feed,onboard-44`);
	const clock = page.getByTestId('clock-control');
	const isInStep = async () => {
		const spread = Number(await clock.getAttribute('data-spread'));
		const playing = (await videoStates(page)).every(({ paused, time }) => !paused && time > 1);
		return playing && spread < 100 && (await clock.getAttribute('data-state')) === 'in-step' && { spread };
	};
	const settled = async (label) => {
		const begin = Date.now();
		const { spread } = await eventually(isInStep, `${label}: in step`, 30);
		t.diagnostic(`${label}: ${spread} ms apart after ${((Date.now() - begin) / 1000).toFixed(1)} s`);
	};
	await settled('opened');

	await hide();
	const before = await videoStates(page);
	await page.waitForTimeout(2_500);
	// A browser may throttle what it does not show, so that the tiles part meanwhile.
	await page.evaluate(() => (document.querySelectorAll('video')[1].currentTime -= 0.6));
	await show();
	await settled('hidden and shown');
	const after = await videoStates(page);
	assert.ok(after[0].time > before[0].time + 1, 'the tile that is heard has gone on');

	await page.locator('video').nth(1).hover();
	await page.getByTestId('quality').nth(1).click();
	await page.getByRole('menuitemradio', { name: '180p' }).click();
	await eventually(async () => (await videoStates(page))[1].height === 180, 'the picture is smaller', 20);
	await settled('another quality');
	assert.deepEqual(traffic.consoleErrors, []);
});
