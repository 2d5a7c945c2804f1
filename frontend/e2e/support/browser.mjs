// Debian's Chromium, with a record of every request and every console error.
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { startProcess } from './process.mjs';

const CHROMIUM = '/usr/bin/chromium';
const ARGS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
];
const AUTOPLAY = '--autoplay-policy=no-user-gesture-required';
const DESKTOP = { width: 1440, height: 900 };

export async function openPage(t, { autoplay = true, viewport = DESKTOP, ...options } = {}) {
	const browser = await chromium.launch({
		executablePath: CHROMIUM,
		args: [...ARGS, ...(autoplay ? [AUTOPLAY] : [])],
	});
	t.after(() => browser.close());
	const page = await browser.newPage({ viewport, colorScheme: 'dark', ...options });
	if (process.env.EDGE_PAGE_BUILD) await serveBuild(page, path.resolve(process.env.EDGE_PAGE_BUILD));
	const traffic = await recordTraffic(page);
	return { page, traffic, ...(autoplay ? {} : await watchRefusal(page)) };
}

/** EDGE_PAGE_BUILD=folder tries a build of the page against an edge in which another one is embedded. */
async function serveBuild(page, folder) {
	await page.route('**/_app/**', (route) =>
		route.fulfill({ path: path.join(folder, new URL(route.request().url()).pathname) }),
	);
	// The edge puts the way to its root there.
	const shell = readFileSync(path.join(folder, 'index.html'), 'utf8').replaceAll('<!--pitwall:root-->', '/');
	await page.route(
		(url) => !/^\/(api|live|mock|_app)\//.test(url.pathname),
		(route) =>
			route.request().isNavigationRequest()
				? route.fulfill({ contentType: 'text/html', body: shell })
				: route.continue(),
	);
}

/**
 * Resolves when the browser has refused to play with sound. Whatever Playwright evaluates in a page counts as a gesture
 * of the user, after which nothing is refused: until then only the console tells what happens.
 */
async function watchRefusal(page) {
	await page.addInitScript(() => {
		const { play } = HTMLMediaElement.prototype;
		HTMLMediaElement.prototype.play = function () {
			const played = play.call(this);
			played.catch(({ name }) => console.debug(`play: ${name}`));
			return played;
		};
	});
	const isRefusal = (message) => message.text() === 'play: NotAllowedError';
	const refused = page.waitForEvent('console', { predicate: isRefusal, timeout: 60_000 });
	refused.catch(() => undefined);
	return { refused };
}

/**
 * A browser window with two tabs, of which one hides the other. Playwright keeps pages of a browser that it launched
 * visible; in a browser that it only connects to, a background tab is hidden as it is for a user.
 */
export async function openTabs(t) {
	const profile = mkdtempSync(path.join(tmpdir(), 'pitwall-profile-'));
	const { width, height } = DESKTOP;
	const args = ['--headless', `--window-size=${width},${height}`, `--user-data-dir=${profile}`];
	const browser = startProcess(CHROMIUM, [
		...ARGS,
		AUTOPLAY,
		...args,
		'--remote-debugging-port=0',
		'about:blank',
	]);
	t.after(async () => {
		await browser.stop();
		// Chromium's child processes end a little later and may still write into the profile.
		await rm(profile, { recursive: true, force: true, maxRetries: 10 });
	});
	const address = /DevTools listening on (ws:\S+)/;
	const [, endpoint] = address.exec(await browser.untilOutput(address));
	const [context] = (await chromium.connectOverCDP(endpoint, { noDefaults: true })).contexts();
	const [page] = context.pages();
	const coveringPage = await context.newPage();
	await page.bringToFront();
	const switchTo = (front, state) => async () => {
		await front.bringToFront();
		await page.waitForFunction((state) => document.visibilityState === state, state, { polling: 50 });
	};
	return {
		page,
		traffic: await recordTraffic(page),
		hide: switchTo(coveringPage, 'hidden'),
		show: switchTo(page, 'visible'),
	};
}

async function recordTraffic(page) {
	const traffic = { requests: [], consoleErrors: [] };
	// The DevTools network log also has requests that a page could hide from scripts.
	const log = await page.context().newCDPSession(page);
	await log.send('Network.enable');
	log.on('Network.requestWillBeSent', ({ request }) => traffic.requests.push(request.url));
	page.on('console', (message) => {
		if (message.type() === 'error') traffic.consoleErrors.push(message.text());
	});
	page.on('pageerror', (error) => traffic.consoleErrors.push(String(error)));
	return traffic;
}

/** Requests to other origins than these. `blob:` and `data:` URLs do not leave the browser. */
export function strayRequests(traffic, ...origins) {
	return traffic.requests.filter(
		(url) => !/^(blob|data):/.test(url) && !origins.includes(new URL(url).origin),
	);
}

export const videoStates = (page) =>
	page.evaluate(() =>
		[...document.querySelectorAll('video')].map((video) => ({
			time: video.currentTime,
			paused: video.paused,
			muted: video.muted,
			width: video.videoWidth,
			height: video.videoHeight,
			box: video.getBoundingClientRect().toJSON(),
		})),
	);

/** Milliseconds from opening the page to the first playback. */
export const firstPlayAfterMs = (page) =>
	page.evaluate(() => performance.getEntriesByName('pitwall:playing')[0]?.startTime);
