// Containers cannot be mixed in one playlist: if the next source has another container, the page reloads the stream.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { startDemoOrigin, startEdge, sourceSection } from './support/edge.mjs';
import { faultyOrigin } from './support/faulty-origin.mjs';
import { eventually } from './support/process.mjs';

const json = async (url) => (await fetch(url)).json();

/** An edge with one stream: fragmented MP4 of `preferred` while that works, else MPEG-TS of `fallback`. */
async function startEdgeWithTwoContainers(t, preferred, fallback) {
	const { origin } = await startEdge(
		t,
		sourceSection(
			'fragments',
			'World feed',
			`${preferred.base}/open/world-feed/master.m3u8`,
			'priority = 1',
		) + sourceSection('packets', 'World feed', `${fallback.base}/open/pit-lane/master.m3u8`, 'priority = 0'),
	);
	await eventually(async () => {
		const { sources } = await json(`${origin}/api/streams/world-feed`);
		const isActive = sources.find(({ active }) => active)?.name === 'fragments';
		return isActive && sources.length === 2 && sources.every(({ health }) => health === 'healthy');
	}, 'both sources are there');
	return origin;
}

test('the page goes on when the next source has another container', async (t) => {
	const demo = await startDemoOrigin(t);
	const preferred = await faultyOrigin(t, demo, 0);
	const fallback = await faultyOrigin(t, demo, 0);
	const origin = await startEdgeWithTwoContainers(t, preferred, fallback);

	const { page, traffic } = await openPage(t);
	await page.goto(`${origin}/watch?s=world-feed`);
	await eventually(async () => (await videoStates(page))[0]?.time > 2, 'it plays');
	const requestedFiles = (extension) =>
		traffic.requests.filter((url) => new URL(url).pathname.endsWith(extension));
	assert.ok(requestedFiles('.m4s').length > 0 && requestedFiles('.ts').length === 0, 'fragmented MP4 plays');
	/** The failure messages that the page shows. */
	const shownFailures = () =>
		page.locator('[data-testid=trouble], [data-testid=tile-down]').allTextContents();
	const multivariantLoads = () => requestedFiles('/live/world-feed/index.m3u8').length;
	const before = multivariantLoads();

	preferred.fault = 'dead';
	const failedAt = Date.now();
	await eventually(() => requestedFiles('.ts').length > 0, 'the other source is loaded', 10);
	t.diagnostic(
		`the first MPEG-TS segment was asked for after ${((Date.now() - failedAt) / 1000).toFixed(1)} s`,
	);
	const tsRequestsAtSwitch = requestedFiles('.ts').length;
	// A reload begins with an empty buffer, so everything that plays from here on comes from the fallback.
	let last = Infinity;
	await eventually(
		async () => {
			const [video] = await videoStates(page);
			const isMoving = video.time > last;
			last = video.time;
			return (
				isMoving &&
				requestedFiles('.ts').length > tsRequestsAtSwitch &&
				!video.paused &&
				(await shownFailures()).length === 0
			);
		},
		'it plays, and nothing is said any more',
		Math.max(1, 10 - (Date.now() - failedAt) / 1000),
	);
	t.diagnostic(
		`played after ${((Date.now() - failedAt) / 1000).toFixed(1)} s; ${multivariantLoads() - before} more multivariant playlists`,
	);
	assert.ok(multivariantLoads() > before, 'the multivariant playlist is loaded anew');
	const [{ time }] = await videoStates(page);
	await eventually(async () => (await videoStates(page))[0].time > time + 8, 'and on', 14);
	assert.deepEqual(await shownFailures(), []);
});
