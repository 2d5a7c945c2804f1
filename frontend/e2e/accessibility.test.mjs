// Every page and state before axe, in both themes, on a desk and on a phone; and what a screen reader is told.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { violations } from './support/axe.mjs';
import { open, strays, videos } from './support/browser.mjs';
import { mock, RACE } from './support/mock.mjs';
import { eventually } from './support/process.mjs';

const ONE = `/watch/${RACE}?l=1&s=world-feed`;
const TWO = `/watch/${RACE}?l=2&s=world-feed,onboard-44&a=onboard-44`;
const LAKESIDE = '2026:lakeside-grand-prix:lakeside';
const STREAMS = ['world-feed', 'onboard-44', 'pit-lane'];
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** FULL=1: both. */
const DEVICES = process.env.FULL ? { desk: {}, phone: PHONE } : { phone: PHONE };

const plays = (page) =>
	eventually(async () => {
		const all = await videos(page);
		return all.length > 0 && all.every(({ time }) => time > 0.5);
	}, 'it plays');
const opens = (id) => async (page) => {
	await plays(page);
	await page.locator('video').first().hover();
	await page.getByTestId(id).first().click();
};
const shows = (id) => (page) => page.getByTestId(id).first().waitFor({ timeout: 60_000 });
const goesOffline = async (page) => {
	await page.context().setOffline(true);
	await shows('stale-banner')(page);
};

/** What the edge says, the address, and what is done until the state is there. */
const states = {
	'schedule, live': ['live', '/schedule', shows('meeting')],
	'schedule, upcoming': ['upcoming', '/schedule', shows('meeting')],
	'schedule, time unknown': ['tbc', '/schedule', shows('meeting')],
	'schedule, empty': ['empty', '/schedule', shows('off-season')],
	'schedule, no API': ['broken', '/schedule', shows('no-schedule')],
	'one tile': ['live', ONE, plays],
	'two tiles': ['live', TWO, plays],
	'a tile whose stream is gone': ['live', `/watch/${RACE}?l=2&s=world-feed,gone`, shows('tile-searching')],
	paused: [
		'live',
		ONE,
		async (page) => {
			await plays(page);
			await page.keyboard.press('k');
			await page.locator('[data-phase=paused]').waitFor();
		},
	],
	'choosing a quality': ['live', ONE, opens('quality')],
	'choosing a stream': ['live', ONE, opens('tile-stream')],
	'adding a stream': ['live', ONE, opens('add-second')],
	'keyboard help': [
		'live',
		ONE,
		async (page) => {
			await plays(page);
			await page.keyboard.press('?');
			await shows('help')(page);
		},
	],
	statistics: [
		'live',
		ONE,
		async (page) => {
			await plays(page);
			await page.keyboard.press('i');
		},
	],
	'sound is refused': ['live', ONE, shows('tap-for-sound'), { autoplay: false }],
	'a tile that is down': [
		'live',
		TWO,
		async (page, edge) => {
			await plays(page);
			await edge.stream('onboard-44', false);
			await shows('tile-down')(page);
		},
	],
	offline: [
		'live',
		ONE,
		async (page) => {
			await plays(page);
			await goesOffline(page);
		},
	],
	'all down': [
		'live',
		`/watch/${RACE}`,
		async (page, edge) => {
			await Promise.all(STREAMS.map((id) => edge.stream(id, false)));
			await page.reload();
			await shows('searching')(page);
		},
	],
	searching: ['searching', `/watch/${RACE}`, shows('searching')],
	'a session to come': ['live', `/watch/${LAKESIDE}:race`, shows('waiting')],
	'a session that is over': ['live', '/watch/2026:canyon-grand-prix:canyon:fp1', shows('waiting')],
	'a cancelled session': ['live', `/watch/${LAKESIDE}:fp2`, shows('waiting')],
	'a session without a time': ['live', '/watch/2026:monsoon-grand-prix:monsoon:race', shows('waiting')],
	'an unknown session': ['live', '/watch/no-such-session', shows('unknown-session')],
	'no schedule to ask': ['broken', '/watch/no-such-session', shows('unknown-session')],
	status: ['live', '/status', shows('stream-status')],
	'status, no API': ['broken', '/status', shows('no-status')],
	'no such page': ['live', '/no/such/page', (page) => page.getByText('There is no such page').waitFor()],
};

/** SHOTS=folder: pictures of all of them, for people. */
const { SHOTS } = process.env;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

async function picture(page, name) {
	for (const colorScheme of ['dark', 'light']) {
		await page.emulateMedia({ colorScheme });
		await page.screenshot({ path: path.join(SHOTS, `${name}-${colorScheme}.png`) });
	}
}

test('axe finds nothing in any state', async (t) => {
	const edge = await mock(t);
	for (const [name, [scenario, address, reach, options = {}]] of Object.entries(states)) {
		await t.test(name, async (t) => {
			for (const [size, device] of Object.entries(DEVICES)) {
				await edge.scenario(scenario);
				await Promise.all(STREAMS.map((id) => edge.stream(id, true)));
				const { page, seen } = await open(t, { ...device, ...options });
				await page.goto(edge.origin + address);
				await reach(page, edge);
				if (SHOTS) await picture(page, `${name.replaceAll(/\W+/g, '-')}-${size}`);
				assert.deepEqual(await violations(page), [], size);
				const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
				assert.ok(wide <= 0, `${size}: it scrolls sideways by ${wide} px`);
				assert.deepEqual(strays(seen, edge.origin), [], size);
				const faults = seen.complaints.filter((text) => !/Failed to load resource|Not found: /.test(text));
				assert.deepEqual(faults, [], size);
				await page.close();
			}
		});
	}
});

test('controls say what they do, and what they are set to', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(edge.origin + TWO);
	await plays(page);
	await eventually(async () => (await page.getByTestId('live-edge').count()) === 2, 'both are live');
	const tile = (stream) => page.locator(`[data-testid=tile][data-stream=${stream}]`);
	const aria = async (stream) => {
		await tile(stream).hover();
		return tile(stream).getByTestId('controls').ariaSnapshot();
	};
	const heard = await aria('onboard-44');
	for (const control of [
		/button "Pause"/,
		/button "Mute"/,
		/slider "Volume": "?1"?|100 %/,
		/button "Quality: \d+p, automatic"/,
	])
		assert.match(heard, control);
	assert.match(heard, /button "(GO )?LIVE −[\d.]+ s , go to the live edge"/);
	assert.match(await aria('world-feed'), /button "Hear this tile"(?! \[pressed)/);
	assert.equal(await tile('onboard-44').getByTestId('volume').getAttribute('aria-valuetext'), '100 %');
	assert.equal(await tile('world-feed').getByTestId('volume').getAttribute('aria-valuetext'), '0 %');
});

test('a screen reader is told once what happens to the picture and to the connection', async (t) => {
	const edge = await mock(t);
	const { page } = await open(t);
	await page.goto(edge.origin + ONE);
	await plays(page);
	await page.evaluate(() => {
		window.told = [];
		// Only what is there before may speak: a region that comes with its words is often not read.
		for (const region of document.querySelectorAll('[role=status], [aria-live]:not([aria-live=off])')) {
			const tell = () => region.textContent.trim() && window.told.push(region.textContent.trim());
			new MutationObserver(tell).observe(region, { childList: true, characterData: true, subtree: true });
		}
	});
	const told = () => page.evaluate(() => window.told);
	await edge.stream('world-feed', false);
	await eventually(
		async () => (await told()).some((text) => /^World feed: All sources are down$/.test(text)),
		'down',
		60,
	);
	await edge.stream('world-feed', true);
	await eventually(async () => (await told()).at(-1) === 'World feed plays', 'plays', 30);
	await page.context().setOffline(true);
	await eventually(async () => (await told()).includes('You are offline'), 'offline', 10);
	await page.waitForTimeout(5_000);
	const words = await told();
	t.diagnostic(words.join(' | '));
	assert.deepEqual(
		words.filter((text, at) => text === words[at - 1]),
		[],
		'nothing is said twice in a row',
	);
	assert.ok(words.length < 12, `it is not talkative: ${words.join(' | ')}`);
});
