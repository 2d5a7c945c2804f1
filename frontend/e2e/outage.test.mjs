// An open page and a real edge: the edge is killed and restarted, and a source is gone for a while.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { startEdge, waitUntilHealthy, sourceSection } from './support/edge.mjs';
import { startEncoder } from './support/encoder.mjs';
import { eventually } from './support/process.mjs';
import { watchLayout } from './support/layout-watch.mjs';

const MUXER = ['-hls_flags', 'delete_segments+program_date_time'];

/** Opens a page that plays a stream of ffmpeg through a real edge. */
async function watchRealStream(t) {
	const input = await startEncoder(t, MUXER);
	const sections = sourceSection('camera', 'Paddock camera', input.url, 'every = "5s"');
	const server = await startEdge(t, sections, input.folder);
	await waitUntilHealthy(server.origin, ['paddock-camera']);
	const { page, traffic } = await openPage(t);
	await page.goto(`${server.origin}/watch?s=paddock-camera`);
	const liveEdgeState = () => page.getByTestId('live-edge').getAttribute('data-edge', { timeout: 2_000 });
	await eventually(async () => (await liveEdgeState()) === 'live', 'it is live');
	await page.evaluate(() => (window.loadedOnce = true));
	const expectPlaybackContinues = async (label, seconds) => {
		await eventually(async () => (await liveEdgeState()) === 'live', `${label}: live`, seconds);
		const [{ time }] = await videoStates(page);
		await eventually(async () => (await videoStates(page))[0].time > time + 5, `${label}: it plays on`, 15);
		assert.equal(await page.evaluate(() => window.loadedOnce), true, `${label}: without a reload`);
	};
	return {
		input,
		server,
		page,
		traffic,
		liveEdgeState,
		expectPlaybackContinues,
		banner: page.getByTestId('stale-banner'),
	};
}

test('an edge is killed and comes back: a banner comes and goes, nothing moves, the picture plays on', async (t) => {
	const { server, page, liveEdgeState, expectPlaybackContinues, banner } = await watchRealStream(t);
	// The first outage is longer than the player's buffer, the second one shorter.
	for (const [label, outlasts] of [
		['a long outage', true],
		['a short one', false],
	]) {
		const layoutChanges = await watchLayout(page);
		const killedAt = Date.now();
		await server.stop('SIGKILL');
		await banner.filter({ hasText: 'The server does not answer' }).waitFor({ timeout: 15_000 });
		t.diagnostic(`${label}: the banner came after ${((Date.now() - killedAt) / 1000).toFixed(1)} s`);
		if (outlasts) {
			await eventually(async () => (await liveEdgeState()) === 'stalled', `${label}: stalled`, 30);
			for (let second = 0; second < 20; second += 1) {
				assert.notEqual(await liveEdgeState(), 'live', `${label}: no picture comes`);
				assert.equal(await page.getByText('sources are down').count(), 0, `${label}: nobody asked a source`);
				await page.waitForTimeout(1_000);
			}
		}
		server.start();
		const restartedAt = Date.now();
		await eventually(async () => (await banner.count()) === 0, `${label}: the banner goes`, 15);
		t.diagnostic(
			`${label}: the banner went ${((Date.now() - restartedAt) / 1000).toFixed(1)} s after the restart`,
		);
		await expectPlaybackContinues(label, 20);
		t.diagnostic(`${label}: played on ${((Date.now() - restartedAt) / 1000).toFixed(1)} s after the restart`);
		assert.deepEqual(await layoutChanges(), [], label);
	}
});

test('the only source is gone for a while: the page says whose fault it is, and plays when it is back', async (t) => {
	const { input, page, liveEdgeState, expectPlaybackContinues, banner } = await watchRealStream(t);
	await input.stop();
	await eventually(async () => (await liveEdgeState()) === 'stalled', 'stalled', 40);
	await page.getByTestId('tile-down').waitFor({ timeout: 90_000 });
	assert.match(await page.getByTestId('tile-down').innerText(), /All sources are down/);
	assert.equal(await banner.count(), 0, 'the edge answers');
	const server = input.serve();
	t.diagnostic(`nginx again: ${server.pid}`);
	await expectPlaybackContinues('the source is back', 40);
});
