// Screenshots of every page against a running dev/mock.mjs, and what the console said meanwhile.
//
//   npm run shots [-- http://127.0.0.1:8090 shots]
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [base = 'http://127.0.0.1:8090', out = 'shots'] = process.argv.slice(2);
mkdirSync(out, { recursive: true });

const browser = await chromium.launch({
	executablePath: '/usr/bin/chromium',
	args: [
		...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
		...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
	],
});

const desktop = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };
const race = '/watch/2026:canyon-grand-prix:canyon:race';

const shots = [
	['schedule-live', 'live', '/schedule', 300],
	['schedule-upcoming', 'upcoming', '/schedule', 300],
	['schedule-empty', 'empty', '/schedule', 300],
	['watch-1', 'live', '/', 5_000],
	['watch-2', 'live', `${race}?l=2&s=world-feed,onboard-44&a=onboard-44`, 6_000],
	['watch-searching', 'searching', race, 800],
	['watch-upcoming', 'upcoming', race, 500],
	['watch-cancelled', 'upcoming', '/watch/2026:lakeside-grand-prix:lakeside:fp2', 500],
	['status', 'live', '/status', 500],
	['status-broken', 'broken', '/status', 500],
];
const only = process.env['ONLY'];

for (const [name, scenario, path, settle] of shots.filter(([name]) => !only || name.includes(only))) {
	await fetch(`${base}/mock/scenario?name=${scenario}`);
	for (const [size, viewport] of Object.entries({ desktop, phone })) {
		for (const colorScheme of ['dark', 'light']) {
			if (colorScheme === 'light' && size === 'phone') continue;
			const context = await browser.newContext({
				viewport,
				colorScheme,
				timezoneId: 'Pacific/Auckland',
				locale: 'en-GB',
			});
			const page = await context.newPage();
			page.on('console', (message) => {
				if (['error', 'warning'].includes(message.type())) console.log(`${name} ${size}: ${message.text()}`);
			});
			page.on('pageerror', (error) => console.log(`${name} ${size}: ${error.stack}`));
			page.on('request', (request) => {
				if (!request.url().startsWith(base) && !request.url().startsWith('blob:'))
					console.log(`${name}: off origin ${request.url()}`);
			});
			await page.goto(base + path);
			await page.waitForTimeout(settle);
			const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
			if (wide > 0) console.log(`${name} ${size}: scrolls sideways by ${wide} px`);
			await page.screenshot({
				path: `${out}/${name}-${size}-${colorScheme}.png`,
				fullPage: !name.startsWith('watch'),
			});
			await context.close();
		}
	}
}
await fetch(`${base}/mock/scenario?name=live`);
await browser.close();
