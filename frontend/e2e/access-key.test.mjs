// Access mode `key` in the browser: a form asks for the key, and then the requested page opens.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { axeViolations } from './support/axe.mjs';
import { openPage, strayRequests, videoStates } from './support/browser.mjs';
import { startDemoOrigin, startEdge, waitUntilHealthy, tempFolder, sourceSection } from './support/edge.mjs';
import { eventually } from './support/process.mjs';

const KEY = 'the-key-of-everybody-who-watches-here';

/** An edge that plays a stream of the demo's origin to viewers who have the key. */
async function startLockedEdge(t) {
	const [from, folder] = [await startDemoOrigin(t), tempFolder(t)];
	const key = path.join(folder, 'key');
	writeFileSync(key, KEY);
	const sections = `[access]
mode = "key"
key_file = "${key}"
${sourceSection('camera', 'World feed', `${from}/open/world-feed/master.m3u8`)}`;
	const { origin } = await startEdge(t, sections, folder);
	await waitUntilHealthy(origin, ['world-feed'], `?key=${KEY}`);
	return origin;
}

test('a viewer without the key is asked for it, and then sees the page of the link', async (t) => {
	const origin = await startLockedEdge(t);
	const { page, traffic } = await openPage(t);
	const link = `${origin}/watch?s=world-feed`;
	const loginResponse = await page.goto(link);
	assert.equal(loginResponse.status(), 401);
	const [field, alert] = [page.getByLabel('Key'), page.getByRole('alert')];
	assert.ok(await field.evaluate((input) => input === document.activeElement), 'it waits for the key');
	assert.equal(await alert.isVisible(), false);
	assert.equal(await page.locator('script').count(), 0, 'it needs none');
	const panel = await page.locator('form').evaluate((form) => getComputedStyle(form).backgroundColor);
	assert.equal(panel, 'rgb(18, 24, 28)', 'it looks like the page');
	assert.deepEqual(await axeViolations(page), []);

	await field.fill('letmein');
	const [rejectedResponse] = await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
	assert.equal(rejectedResponse.status(), 401);
	assert.match(await alert.innerText(), /not the key/);
	assert.equal(await field.getAttribute('aria-invalid'), 'true');
	assert.equal(await field.inputValue(), '');
	assert.deepEqual(await axeViolations(page), []);

	await field.fill(KEY);
	await page.getByRole('button', { name: 'Watch' }).click();
	await page.waitForURL(link);
	const [firstState] = await eventually(async () => {
		const all = await videoStates(page);
		return all[0]?.time > 0 && !all[0].paused && all[0].width > 0 && all;
	}, 'it plays');
	await eventually(async () => (await videoStates(page))[0].time > firstState.time + 2, 'and plays on');
	const cookies = await page.context().cookies();
	assert.ok(cookies.length === 1 && cookies[0].httpOnly && !cookies[0].value.includes(KEY));
	assert.deepEqual(strayRequests(traffic, origin), []);
	// Chromium logs the two responses with status 401 as errors.
	const unexpectedErrors = traffic.consoleErrors.filter(
		(text) => !/the server responded with a status of 401/.test(text),
	);
	assert.deepEqual(unexpectedErrors, []);
	assert.equal(traffic.consoleErrors.length, 2, `${traffic.consoleErrors}`);
});
