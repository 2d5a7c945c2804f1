// Containers cannot be mixed in one playlist: where the next source has another, the page loads the stream anew.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { open, videos } from './support/browser.mjs';
import { faulty } from './support/faulty.mjs';
import { eventually, freePort, pitwall } from './support/process.mjs';

const json = async (url) => (await fetch(url)).json();

/** An edge with one stream: fragmented MP4 while `best` lives, else MPEG-TS of `other`. */
async function edge(t, best, other) {
	const folder = mkdtempSync(path.join(os.tmpdir(), 'pitwall-container-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	const config = path.join(folder, 'pitwall.toml');
	const source = (name, priority, url) => `
[[source]]
name = "${name}"
kind = "static"
feed = "World feed"
url = "${url}"
priority = ${priority}
allow_private = ["127.0.0.0/8"]
`;
	writeFileSync(
		config,
		'[schedule]\nproviders = []\n' +
			source('fragments', 1, `${best.base}/open/world-feed/master.m3u8`) +
			source('packets', 0, `${other.base}/open/pit-lane/master.m3u8`),
	);
	const port = await freePort();
	const env = {
		...process.env,
		PITWALL_EDGE__LISTEN: `127.0.0.1:${port}`,
		PITWALL_EDGE__ADMIN: `127.0.0.1:${await freePort()}`,
		PITWALL_STATE__DIR: path.join(folder, 'state'),
	};
	const child = pitwall(['run', '--config', config], { env });
	t.after(() => child.stop());
	const origin = `http://127.0.0.1:${port}`;
	await eventually(async () => {
		const { sources } = await json(`${origin}/api/streams/world-feed`);
		const plays = sources.find(({ active }) => active)?.name === 'fragments';
		return plays && sources.length === 2 && sources.every(({ health }) => health === 'healthy');
	}, 'both sources are there');
	return origin;
}

test('the page goes on when the next source has another container', async (t) => {
	const port = await freePort();
	const source = pitwall(['origin', '--listen', `127.0.0.1:${port}`]);
	t.after(() => source.stop());
	await source.until(/The origin is on/);
	const best = await faulty(t, `http://127.0.0.1:${port}`, 0);
	const other = await faulty(t, `http://127.0.0.1:${port}`, 0);
	const origin = await edge(t, best, other);

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
