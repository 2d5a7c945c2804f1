// Access mode `key` as a person meets it: a form, and behind it what they came for.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { violations } from './support/axe.mjs';
import { open, strays, videos } from './support/browser.mjs';
import { demoOrigin, edge, plays, scratch, source } from './support/edge.mjs';
import { eventually } from './support/process.mjs';

const KEY = 'the-key-of-everybody-who-watches-here';

/** One that plays the demo's picture to whoever has the key. */
async function lockedEdge(t) {
	const [from, folder] = [await demoOrigin(t), scratch(t)];
	const key = path.join(folder, 'key');
	writeFileSync(key, KEY);
	const sections = `[access]
mode = "key"
key_file = "${key}"
${source('camera', 'World feed', `${from}/open/world-feed/master.m3u8`)}`;
	const { origin } = await edge(t, sections, folder);
	await plays(origin, ['world-feed'], `?key=${KEY}`);
	return origin;
}

test('who opens a link without the key is asked for it, and then sees what the link leads to', async (t) => {
	const origin = await lockedEdge(t);
	const { page, seen } = await open(t);
	const link = `${origin}/watch?s=world-feed`;
	const asked = await page.goto(link);
	assert.equal(asked.status(), 401);
	const [field, fault] = [page.getByLabel('Key'), page.getByRole('alert')];
	assert.ok(await field.evaluate((input) => input === document.activeElement), 'it waits for the key');
	assert.equal(await fault.isVisible(), false);
	assert.equal(await page.locator('script').count(), 0, 'it needs none');
	const panel = await page.locator('form').evaluate((form) => getComputedStyle(form).backgroundColor);
	assert.equal(panel, 'rgb(18, 24, 28)', 'it looks like the page');
	assert.deepEqual(await violations(page), []);

	await field.fill('letmein');
	const [refused] = await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
	assert.equal(refused.status(), 401);
	assert.match(await fault.innerText(), /not the key/);
	assert.equal(await field.getAttribute('aria-invalid'), 'true');
	assert.equal(await field.inputValue(), '');
	assert.deepEqual(await violations(page), []);

	await field.fill(KEY);
	await page.getByRole('button', { name: 'Watch' }).click();
	await page.waitForURL(link);
	const [begun] = await eventually(async () => {
		const all = await videos(page);
		return all[0]?.time > 0 && !all[0].paused && all[0].width > 0 && all;
	}, 'it plays');
	await eventually(async () => (await videos(page))[0].time > begun.time + 2, 'and plays on');
	const cookies = await page.context().cookies();
	assert.ok(cookies.length === 1 && cookies[0].httpOnly && !cookies[0].value.includes(KEY));
	assert.deepEqual(strays(seen, origin), []);
	// What Chromium says of the two answers that asked for the key.
	const complaints = seen.complaints.filter(
		(text) => !/the server responded with a status of 401/.test(text),
	);
	assert.deepEqual(complaints, []);
	assert.equal(seen.complaints.length, 2, `${seen.complaints}`);
});
