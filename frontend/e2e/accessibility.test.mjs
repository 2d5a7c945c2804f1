// Runs axe on every page and state, in both themes, on a phone (with FULL=1 also on a desktop), and checks what
// screen readers announce.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { axeViolations } from './support/axe.mjs';
import { openPage, strayRequests, videoStates } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

const ONE = `/watch/${RACE}?l=1&s=world-feed`;
const TWO = `/watch/${RACE}?l=2&s=world-feed,onboard-44&a=onboard-44`;
const FOUR_PLACES = `/watch/${RACE}?l=1p3&s=world-feed,onboard-44,pit-lane`;
const LAKESIDE = '2026:lakeside-grand-prix:lakeside';
const STREAMS = ['world-feed', 'onboard-44', 'pit-lane'];
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** FULL=1 tests both devices. */
const DEVICES = process.env.FULL ? { desk: {}, phone: PHONE } : { phone: PHONE };

const waitUntilPlaying = (page) =>
	eventually(async () => {
		const all = await videoStates(page);
		return all.length > 0 && all.every(({ time }) => time > 0.5);
	}, 'it plays');
const openMenu = (id) => async (page) => {
	await waitUntilPlaying(page);
	await page.locator('video').first().hover();
	await page.getByTestId(id).first().click();
};
const waitForTestId = (id) => (page) => page.getByTestId(id).first().waitFor({ timeout: 60_000 });
const goOffline = async (page) => {
	await page.context().setOffline(true);
	await waitForTestId('stale-banner')(page);
};

/** By name of the state: the mock edge's scenario, the path, the actions that lead to the state, browser options. */
const states = {
	'schedule, live': ['live', '/schedule', waitForTestId('meeting')],
	'schedule, upcoming': ['upcoming', '/schedule', waitForTestId('meeting')],
	'schedule, time unknown': ['tbc', '/schedule', waitForTestId('meeting')],
	'schedule, empty': ['empty', '/schedule', waitForTestId('off-season')],
	'schedule, no API': ['broken', '/schedule', waitForTestId('no-schedule')],
	'one tile': ['live', ONE, waitUntilPlaying],
	'two tiles': ['live', TWO, waitUntilPlaying],
	'a wall with empty places': ['live', FOUR_PLACES, waitUntilPlaying],
	'choosing a layout': ['live', FOUR_PLACES, openMenu('layout-menu')],
	'saving a wall': [
		'live',
		FOUR_PLACES,
		async (page) => {
			await openMenu('layout-menu')(page);
			await page.getByText('Save this wall').click();
			await waitForTestId('saved-walls')(page);
		},
	],
	'a tile whose stream is gone': [
		'live',
		`/watch/${RACE}?l=2&s=world-feed,gone`,
		waitForTestId('tile-searching'),
	],
	paused: [
		'live',
		ONE,
		async (page) => {
			await waitUntilPlaying(page);
			await page.keyboard.press('k');
			await page.locator('[data-phase=paused]').waitFor();
		},
	],
	'choosing a quality': ['live', ONE, openMenu('quality')],
	'choosing a stream': ['live', ONE, openMenu('tile-stream')],
	'adding a stream': ['live', ONE, openMenu('add-second')],
	'keyboard help': [
		'live',
		ONE,
		async (page) => {
			await waitUntilPlaying(page);
			await page.keyboard.press('?');
			await waitForTestId('help')(page);
		},
	],
	statistics: [
		'live',
		ONE,
		async (page) => {
			await waitUntilPlaying(page);
			await page.keyboard.press('i');
		},
	],
	'sound is refused': ['live', ONE, waitForTestId('tap-for-sound'), { autoplay: false }],
	'a tile that is down': [
		'live',
		TWO,
		async (page, edge) => {
			await waitUntilPlaying(page);
			await edge.stream('onboard-44', false);
			await waitForTestId('tile-down')(page);
		},
	],
	offline: [
		'live',
		ONE,
		async (page) => {
			await waitUntilPlaying(page);
			await goOffline(page);
		},
	],
	'all down': [
		'live',
		`/watch/${RACE}`,
		async (page, edge) => {
			await Promise.all(STREAMS.map((id) => edge.stream(id, false)));
			await page.reload();
			await waitForTestId('searching')(page);
		},
	],
	searching: ['searching', `/watch/${RACE}`, waitForTestId('searching')],
	'a session to come': ['live', `/watch/${LAKESIDE}:race`, waitForTestId('waiting')],
	'a session that is over': ['live', '/watch/2026:canyon-grand-prix:canyon:fp1', waitForTestId('waiting')],
	'a cancelled session': ['live', `/watch/${LAKESIDE}:fp2`, waitForTestId('waiting')],
	'a session without a time': [
		'live',
		'/watch/2026:monsoon-grand-prix:monsoon:race',
		waitForTestId('waiting'),
	],
	'an unknown session': ['live', '/watch/no-such-session', waitForTestId('unknown-session')],
	'no schedule to ask': ['broken', '/watch/no-such-session', waitForTestId('unknown-session')],
	status: ['live', '/status', waitForTestId('stream-status')],
	'status, no API': ['broken', '/status', waitForTestId('no-status')],
	'no such page': ['live', '/no/such/page', (page) => page.getByText('There is no such page').waitFor()],
};

/** SHOTS=folder saves screenshots of all states for people to look at. */
const { SHOTS } = process.env;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

async function takeScreenshots(page, name) {
	for (const colorScheme of ['dark', 'light']) {
		await page.emulateMedia({ colorScheme });
		await page.screenshot({ path: path.join(SHOTS, `${name}-${colorScheme}.png`) });
	}
}

test('axe finds nothing in any state', async (t) => {
	const edge = await startMockEdge(t);
	for (const [name, [scenario, address, reach, options = {}]] of Object.entries(states)) {
		await t.test(name, async (t) => {
			for (const [size, device] of Object.entries(DEVICES)) {
				await edge.scenario(scenario);
				await Promise.all(STREAMS.map((id) => edge.stream(id, true)));
				const { page, traffic, refused } = await openPage(t, { ...device, ...options });
				await page.goto(edge.origin + address);
				await refused;
				await reach(page, edge);
				if (SHOTS) await takeScreenshots(page, `${name.replaceAll(/\W+/g, '-')}-${size}`);
				assert.deepEqual(await axeViolations(page), [], size);
				const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
				assert.ok(overflow <= 0, `${size}: it scrolls sideways by ${overflow} px`);
				assert.deepEqual(strayRequests(traffic, edge.origin), [], size);
				const unexpectedErrors = traffic.consoleErrors.filter(
					(text) => !/Failed to load resource|Not found: /.test(text),
				);
				assert.deepEqual(unexpectedErrors, [], size);
				await page.close();
			}
		});
	}
});

test('controls say what they do, and what they are set to', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(edge.origin + TWO);
	await waitUntilPlaying(page);
	await eventually(async () => (await page.getByTestId('live-edge').count()) === 2, 'both are live');
	const tile = (stream) => page.locator(`[data-testid=tile][data-stream=${stream}]`);
	const aria = async (stream) => {
		await tile(stream).hover();
		return tile(stream).getByTestId('controls').ariaSnapshot();
	};
	const audibleTile = await aria('onboard-44');
	for (const control of [
		/button "Pause"/,
		/button "Mute"/,
		/slider "Volume": "?1"?|100 %/,
		/button "Quality: \d+p, automatic"/,
	])
		assert.match(audibleTile, control);
	assert.match(audibleTile, /button "(GO )?LIVE −[\d.]+ s , go to the live edge"/);
	assert.match(await aria('world-feed'), /button "Hear this tile"(?! \[pressed)/);
	assert.equal(await tile('onboard-44').getByTestId('volume').getAttribute('aria-valuetext'), '100 %');
	assert.equal(await tile('world-feed').getByTestId('volume').getAttribute('aria-valuetext'), '0 %');
});

test('a screen reader is told once what happens to the picture and to the connection', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(edge.origin + ONE);
	await waitUntilPlaying(page);
	await page.evaluate(() => {
		window.announcements = [];
		// Only regions that exist already are observed: screen readers often skip a region that is inserted with its text.
		for (const region of document.querySelectorAll('[role=status], [aria-live]:not([aria-live=off])')) {
			const record = () => region.textContent.trim() && window.announcements.push(region.textContent.trim());
			new MutationObserver(record).observe(region, { childList: true, characterData: true, subtree: true });
		}
	});
	const announcements = () => page.evaluate(() => window.announcements);
	await edge.stream('world-feed', false);
	await eventually(
		async () => (await announcements()).some((text) => /^World feed: All sources are down$/.test(text)),
		'down',
		60,
	);
	await edge.stream('world-feed', true);
	await eventually(async () => (await announcements()).at(-1) === 'World feed plays', 'plays', 30);
	await page.context().setOffline(true);
	await eventually(async () => (await announcements()).includes('You are offline'), 'offline', 10);
	await page.waitForTimeout(5_000);
	const texts = await announcements();
	t.diagnostic(texts.join(' | '));
	assert.deepEqual(
		texts.filter((text, at) => text === texts[at - 1]),
		[],
		'nothing is said twice in a row',
	);
	assert.ok(texts.length < 12, `it is not talkative: ${texts.join(' | ')}`);
});
