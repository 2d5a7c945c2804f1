// Debian's Chromium, watched: every request it makes and everything it complains about.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { start } from './process.mjs';

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
const DESK = { width: 1440, height: 900 };

export async function open(t, { autoplay = true, viewport = DESK, ...options } = {}) {
	const browser = await chromium.launch({
		executablePath: CHROMIUM,
		args: [...ARGS, ...(autoplay ? [AUTOPLAY] : [])],
	});
	t.after(() => browser.close());
	const page = await browser.newPage({ viewport, colorScheme: 'dark', ...options });
	return { page, seen: await listen(page) };
}

/**
 * A window with two tabs, of which one hides the other. Playwright keeps the pages that it opens visible for
 * good; in a browser that it only talks to, what is behind another tab is hidden as it is on a desk.
 */
export async function tabs(t) {
	const profile = mkdtempSync(path.join(tmpdir(), 'pitwall-profile-'));
	const { width, height } = DESK;
	const args = ['--headless', `--window-size=${width},${height}`, `--user-data-dir=${profile}`];
	const browser = start(CHROMIUM, [...ARGS, AUTOPLAY, ...args, '--remote-debugging-port=0', 'about:blank']);
	t.after(async () => {
		await browser.stop();
		// Its children end a little later.
		await rm(profile, { recursive: true, force: true, maxRetries: 10 });
	});
	const address = /DevTools listening on (ws:\S+)/;
	const [, endpoint] = address.exec(await browser.until(address));
	const [context] = (await chromium.connectOverCDP(endpoint, { noDefaults: true })).contexts();
	const [page] = context.pages();
	const other = await context.newPage();
	await page.bringToFront();
	const turn = (front, state) => async () => {
		await front.bringToFront();
		await page.waitForFunction((state) => document.visibilityState === state, state, { polling: 50 });
	};
	return { page, seen: await listen(page), hide: turn(other, 'hidden'), show: turn(page, 'visible') };
}

async function listen(page) {
	const seen = { requests: [], complaints: [] };
	// The browser's own network log, below anything that a page can hide.
	const log = await page.context().newCDPSession(page);
	await log.send('Network.enable');
	log.on('Network.requestWillBeSent', ({ request }) => seen.requests.push(request.url));
	page.on('console', (message) => {
		if (message.type() === 'error') seen.complaints.push(message.text());
	});
	page.on('pageerror', (error) => seen.complaints.push(String(error)));
	return seen;
}

/** Requests to anywhere but these origins. `blob:` and `data:` do not leave the browser. */
export function strays(seen, ...origins) {
	return seen.requests.filter((url) => !/^(blob|data):/.test(url) && !origins.includes(new URL(url).origin));
}

export const videos = (page) =>
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

/** Milliseconds from opening the page to the first picture. */
export const playingAfter = (page) =>
	page.evaluate(() => performance.getEntriesByName('pitwall:playing')[0]?.startTime);
