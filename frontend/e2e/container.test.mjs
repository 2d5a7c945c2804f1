// Containers cannot be mixed in one playlist: where the next source has another, the page loads the stream anew.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, videos } from './support/browser.mjs';
import { demoOrigin, edge, source } from './support/edge.mjs';
import { faulty } from './support/faulty.mjs';
import { eventually } from './support/process.mjs';

const json = async (url) => (await fetch(url)).json();

/** An edge with one stream: fragmented MP4 while `best` lives, else MPEG-TS of `other`. */
async function twofold(t, best, other) {
	const { origin } = await edge(
		t,
		source('fragments', 'World feed', `${best.base}/open/world-feed/master.m3u8`, 'priority = 1') +
			source('packets', 'World feed', `${other.base}/open/pit-lane/master.m3u8`, 'priority = 0'),
	);
	await eventually(async () => {
		const { sources } = await json(`${origin}/api/streams/world-feed`);
		const plays = sources.find(({ active }) => active)?.name === 'fragments';
		return plays && sources.length === 2 && sources.every(({ health }) => health === 'healthy');
	}, 'both sources are there');
	return origin;
}

test('the page goes on when the next source has another container', async (t) => {
	const demo = await demoOrigin(t);
	const best = await faulty(t, demo, 0);
	const other = await faulty(t, demo, 0);
	const origin = await twofold(t, best, other);

	const { page, seen } = await open(t);
	await page.goto(`${origin}/watch?s=world-feed`);
	await eventually(async () => (await videos(page))[0]?.time > 2, 'it plays');
	const played = (extension) => seen.requests.filter((url) => new URL(url).pathname.endsWith(extension));
	assert.ok(played('.m4s').length > 0 && played('.ts').length === 0, 'fragmented MP4 plays');
	/** Whatever the page says of it. */
	const trouble = () => page.locator('[data-testid=trouble], [data-testid=tile-down]').allTextContents();
	const masters = () => played('/live/world-feed/index.m3u8').length;
	const before = masters();

	best.fault = 'dead';
	const died = Date.now();
	await eventually(() => played('.ts').length > 0, 'the other source is loaded', 10);
	t.diagnostic(`the first MPEG-TS segment was asked for after ${((Date.now() - died) / 1000).toFixed(1)} s`);
	const from = played('.ts').length;
	// A reload begins with an empty buffer: whatever plays from here on is of the other source.
	let last = Infinity;
	await eventually(
		async () => {
			const [video] = await videos(page);
			const moves = video.time > last;
			last = video.time;
			return moves && played('.ts').length > from && !video.paused && (await trouble()).length === 0;
		},
		'it plays, and nothing is said any more',
		Math.max(1, 10 - (Date.now() - died) / 1000),
	);
	t.diagnostic(
		`played after ${((Date.now() - died) / 1000).toFixed(1)} s; ${masters() - before} more multivariant playlists`,
	);
	assert.ok(masters() > before, 'the multivariant playlist is loaded anew');
	const [{ time }] = await videos(page);
	await eventually(async () => (await videos(page))[0].time > time + 8, 'and on', 14);
	assert.deepEqual(await trouble(), []);
});
