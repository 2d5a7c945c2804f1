// Debian's Chromium, watched: every request it makes and everything it complains about.
import { chromium } from 'playwright-core';

export async function open(t, { autoplay = true, viewport = { width: 1440, height: 900 } } = {}) {
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			...(autoplay ? ['--autoplay-policy=no-user-gesture-required'] : []),
		],
	});
	t.after(() => browser.close());
	const page = await browser.newPage({ viewport, colorScheme: 'dark' });
	const seen = { requests: [], complaints: [] };
	// The browser's own network log, below anything that a page can hide.
	const log = await page.context().newCDPSession(page);
	await log.send('Network.enable');
	log.on('Network.requestWillBeSent', ({ request }) => seen.requests.push(request.url));
	page.on('console', (message) => {
		if (message.type() === 'error') seen.complaints.push(message.text());
	});
	page.on('pageerror', (error) => seen.complaints.push(String(error)));
	return { page, seen };
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
