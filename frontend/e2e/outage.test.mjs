// An edge that is killed under a page that is open, and a source that is gone for a while: with a real edge.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, videos } from './support/browser.mjs';
import { edge, plays, source } from './support/edge.mjs';
import { encoder } from './support/encoder.mjs';
import { eventually } from './support/process.mjs';
import { still } from './support/still.mjs';

const MUXER = ['-hls_flags', 'delete_segments+program_date_time'];

/** A page that plays a real stream of a real edge. */
async function watching(t) {
	const input = await encoder(t, MUXER);
	const sections = source('camera', 'Paddock camera', input.url, 'every = "5s"');
	const server = await edge(t, sections, input.folder);
	await plays(server.origin, ['paddock-camera']);
	const { page, seen } = await open(t);
	await page.goto(`${server.origin}/watch?s=paddock-camera`);
	const chip = () => page.getByTestId('live-edge').getAttribute('data-edge', { timeout: 2_000 });
	await eventually(async () => (await chip()) === 'live', 'it is live');
	await page.evaluate(() => (window.loadedOnce = true));
	const goesOn = async (what, seconds) => {
		await eventually(async () => (await chip()) === 'live', `${what}: live`, seconds);
		const [{ time }] = await videos(page);
		await eventually(async () => (await videos(page))[0].time > time + 5, `${what}: it plays on`, 15);
		assert.equal(await page.evaluate(() => window.loadedOnce), true, `${what}: without a reload`);
	};
	return { input, server, page, seen, chip, goesOn, banner: page.getByTestId('stale-banner') };
}

test('an edge is killed and comes back: a banner comes and goes, nothing moves, the picture plays on', async (t) => {
	const { server, page, chip, goesOn, banner } = await watching(t);
	// Long enough to outlast what is in the buffer, and short enough not to.
	for (const [what, outlasts] of [
		['a long outage', true],
		['a short one', false],
	]) {
		const moved = await still(page);
		const at = Date.now();
		await server.stop('SIGKILL');
		await banner.filter({ hasText: 'The edge does not answer' }).waitFor({ timeout: 15_000 });
		t.diagnostic(`${what}: the banner came after ${((Date.now() - at) / 1000).toFixed(1)} s`);
		if (outlasts) {
			await eventually(async () => (await chip()) === 'stalled', `${what}: stalled`, 30);
			for (let second = 0; second < 20; second += 1) {
				assert.notEqual(await chip(), 'live', `${what}: no picture comes`);
				assert.equal(await page.getByText('sources are down').count(), 0, `${what}: nobody asked a source`);
				await page.waitForTimeout(1_000);
			}
		}
		server.start();
		const back = Date.now();
		await eventually(async () => (await banner.count()) === 0, `${what}: the banner goes`, 15);
		t.diagnostic(`${what}: the banner went ${((Date.now() - back) / 1000).toFixed(1)} s after the restart`);
		await goesOn(what, 20);
		t.diagnostic(`${what}: played on ${((Date.now() - back) / 1000).toFixed(1)} s after the restart`);
		assert.deepEqual(await moved(), [], what);
	}
});

test('the only source is gone for a while: the page says whose fault it is, and plays when it is back', async (t) => {
	const { input, page, chip, goesOn, banner } = await watching(t);
	await input.stop();
	await eventually(async () => (await chip()) === 'stalled', 'stalled', 40);
	await page.getByTestId('tile-down').waitFor({ timeout: 90_000 });
	assert.match(await page.getByTestId('tile-down').innerText(), /All sources are down/);
	assert.equal(await banner.count(), 0, 'the edge answers');
	const server = input.serve();
	t.diagnostic(`nginx again: ${server.pid}`);
	await goesOn('the source is back', 40);
});
