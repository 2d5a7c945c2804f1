// Access mode `key` in the browser, below a path at which nginx publishes the edge: a form asks for the key, and then the
// requested page opens.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { axeViolations } from './support/axe.mjs';
import { openPage, strayRequests, videoStates } from './support/browser.mjs';
import { startDemoOrigin, startEdge, waitUntilHealthy, tempFolder, sourceSection } from './support/edge.mjs';
import { startNginx } from './support/nginx.mjs';
import { eventually, freePort } from './support/process.mjs';

const KEY = 'the-key-of-everybody-who-watches-here';
const PATH = '/tv/pitwall';

/**
 * An edge that plays a stream of the demo's origin to viewers who have the key, behind an nginx that strips the path and
 * one that passes it on; returns the public URL of each.
 */
async function startLockedEdge(t) {
	const [from, folder] = [await startDemoOrigin(t), tempFolder(t)];
	const ports = [await freePort(), await freePort()];
	const key = path.join(folder, 'key');
	writeFileSync(key, KEY);
	const sections = `[access]
mode = "key"
key_file = "${key}"
${sourceSection('camera', 'World feed', `${from}/open/world-feed/master.m3u8`)}`;
	const { origin } = await startEdge(
		t,
		sections,
		folder,
		`public_url = "http://127.0.0.1:${ports[0]}${PATH}/"`,
	);
	const [stripping, passing] = ports.map(
		(port, index) =>
			`server { listen 127.0.0.1:${port}; location ${PATH}/ { proxy_buffering off; proxy_pass ${origin}${index ? '' : '/'}; } }`,
	);
	startNginx(t, folder, `access_log off; ${stripping} ${passing}`);
	await waitUntilHealthy(origin, ['world-feed'], `?key=${KEY}`);
	return ports.map((port) => `http://127.0.0.1:${port}${PATH}`);
}

/** Waits until the picture moves, and has moved on for so many seconds. */
async function waitUntilPlaying(page, seconds) {
	const [firstState] = await eventually(async () => {
		const all = await videoStates(page);
		return all[0]?.time > 0 && !all[0].paused && all[0].width > 0 && all;
	}, 'it plays');
	await eventually(async () => (await videoStates(page))[0].time > firstState.time + seconds, 'and plays on');
}

test('a viewer without the key is asked for it, and then sees the page of the link', async (t) => {
	const [stripping, passing] = await startLockedEdge(t);
	const { page, traffic } = await openPage(t);
	const link = `${stripping}/watch?s=world-feed`;
	/** The page adds the layout to the address. */
	const isLink = ({ origin, pathname, searchParams }) =>
		origin + pathname === link.split('?')[0] && searchParams.get('s') === 'world-feed';
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
	await page.waitForURL(isLink);
	await waitUntilPlaying(page, 2);
	const cookies = await page.context().cookies();
	assert.ok(cookies.length === 1 && cookies[0].httpOnly && !cookies[0].value.includes(KEY));
	assert.equal(cookies[0].path, PATH);

	await page.getByRole('link', { name: 'Schedule' }).click();
	await page.waitForURL(`${stripping}/schedule`);
	await page.goBack();
	await page.waitForURL(isLink);
	// A cookie is for all ports of a host, so that the other proxy lets the viewer in.
	await page.goto(passing);
	await page.waitForURL(`${passing}/schedule`);
	await page.goto(`${passing}/watch?s=world-feed`);
	await waitUntilPlaying(page, 0.5);
	const outside = traffic.requests.filter(
		(url) => !/^(blob|data):/.test(url) && !new URL(url).pathname.startsWith(PATH),
	);
	assert.deepEqual(outside, []);
	assert.deepEqual(strayRequests(traffic, new URL(stripping).origin, new URL(passing).origin), []);
	// Chromium logs the two responses with status 401 as errors.
	const unexpectedErrors = traffic.consoleErrors.filter(
		(text) => !/the server responded with a status of 401/.test(text),
	);
	assert.deepEqual(unexpectedErrors, []);
	assert.equal(traffic.consoleErrors.length, 2, `${traffic.consoleErrors}`);
});
