// The rate of an open page's API requests is low and steady, and zero while the page is hidden.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, openTabs } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

const MINUTE = 60;
/** Longer than the longest delay between two rounds of a poll (72 s). */
const HIDDEN_SECONDS = 75;
const MAX_REQUESTS_IN_TEN_SECONDS = 8;
/** Rounds are 10 to 72 s apart: one minute may have two more rounds of each of three documents than another. */
const MINUTE_DIFFERENCE_MAX = 6;

const LAKESIDE = '2026:lakeside-grand-prix:lakeside';

/** One page of each kind, for every run; FULL=1 tests all pages. */
const QUICK_RUN_PAGES = [
	'the schedule',
	'two tiles',
	'a session to come',
	'the status',
	'a live session without streams',
	'two tiles of an edge that is gone',
];

/** Every page and state that can be left open, by scenario of the mock edge. A `quiet` page sends no API requests. */
const pagesByScenario = {
	live: [
		['/', '/'],
		['the schedule', '/schedule'],
		['one tile', `/watch/${RACE}?l=1&s=world-feed`],
		['two tiles', `/watch/${RACE}?l=2&s=world-feed,onboard-44`],
		['four tiles asked for', `/watch/${RACE}?l=2x2&s=world-feed,onboard-44,pit-lane,data-channel`],
		['streams without a session', '/watch?s=world-feed'],
		['a tile whose stream is down', `/watch/${RACE}?s=data-channel`],
		['a tile whose stream is gone', `/watch/${RACE}?s=world-feed,gone`],
		['a session to come', `/watch/${LAKESIDE}:race`],
		['a session that is over', '/watch/2026:canyon-grand-prix:canyon:fp1'],
		['a cancelled session', `/watch/${LAKESIDE}:fp2`],
		['a session without a time', '/watch/2026:monsoon-grand-prix:monsoon:race'],
		['an unknown session', '/watch/no-such-session'],
		['the status', '/status'],
		['no such page', '/no/such/page', { quiet: true }],
	],
	searching: [['a live session without streams', `/watch/${RACE}`]],
	upcoming: [
		['the schedule between sessions', '/schedule'],
		['nothing to watch', '/watch'],
	],
	empty: [['a schedule without dates', '/schedule']],
	broken: [
		['the schedule without an API', '/schedule'],
		['a session without an API', `/watch/${RACE}`],
		['the status without an API', '/status'],
	],
	gone: [
		['two tiles of an edge that is gone', `/watch/${RACE}?l=2&s=world-feed,onboard-44`],
		['the status of an edge that is gone', '/status'],
	],
};

const apiRequests = ({ requests }) =>
	requests.filter((url) => new URL(url).pathname.startsWith('/api/')).length;
const sum = (counts) => counts.reduce((all, one) => all + one, 0);
const maxInTenSeconds = (counts) => Math.max(...counts.map((_, from) => sum(counts.slice(from, from + 10))));

/** Runs the page for some seconds of its clock (of real time with FULL=1); returns the requests of each second. */
async function runPage(page, traffic, seconds) {
	const counts = [];
	for (let second = 0; second < seconds; second += 1) {
		const before = apiRequests(traffic);
		if (process.env.FULL) await page.waitForTimeout(1_000);
		else {
			await page.clock.runFor(1_000);
			// Responses arrive in real time: each second of the page's clock gets some milliseconds for them.
			await new Promise((resolve) => setTimeout(resolve, 15));
		}
		counts.push(apiRequests(traffic) - before);
	}
	return counts;
}

for (const [scenario, all] of Object.entries(pagesByScenario)) {
	const states = all.filter(([name]) => process.env.FULL || QUICK_RUN_PAGES.includes(name));
	if (states.length === 0) continue;
	test(`left open, ${scenario}`, { concurrency: process.env.FULL ? 4 : 2 }, async (t) => {
		const shared = scenario === 'gone' ? null : await startMockEdge(t, scenario);
		const checkPage = async ([name, address, { quiet = false } = {}]) => {
			await t.test(name, async (t) => {
				const edge = shared ?? (await startMockEdge(t));
				const { page, traffic, hide, show } = await openTabs(t);
				if (!process.env.FULL) await page.clock.install();
				await page.goto(edge.origin + address);
				await page.locator('h1').waitFor();
				if (scenario === 'gone') await edge.stop();
				const shown = await runPage(page, traffic, 2 * MINUTE);
				const perTenSeconds = shown.flatMap((_, at) => (at % 10 ? [] : [sum(shown.slice(at, at + 10))]));
				t.diagnostic(`${name}: ${perTenSeconds.join(' ')}`);
				assert.ok(
					maxInTenSeconds(shown) <= MAX_REQUESTS_IN_TEN_SECONDS,
					`${maxInTenSeconds(shown)} in ten seconds: ${perTenSeconds}`,
				);
				const [first, second] = [sum(shown.slice(0, MINUTE)), sum(shown.slice(MINUTE))];
				assert.ok(
					second <= first + MINUTE_DIFFERENCE_MAX,
					`${first} in the first minute, ${second} in the second`,
				);
				await hide();
				// Requests that are in flight may still finish.
				await page.waitForTimeout(200);
				const hidden = await runPage(page, traffic, HIDDEN_SECONDS);
				assert.equal(sum(hidden), 0, 'nothing is asked while hidden');
				const requestsBefore = apiRequests(traffic);
				await show();
				if (quiet) await page.waitForTimeout(200);
				else
					await eventually(() => apiRequests(traffic) > requestsBefore, 'it catches up when it is shown', 5);
				await runPage(page, traffic, 10);
				const requestsAfter = apiRequests(traffic) - requestsBefore;
				assert.ok(
					requestsAfter <= MAX_REQUESTS_IN_TEN_SECONDS,
					`${requestsAfter} requests in ten seconds when shown`,
				);
				assert.equal(requestsAfter > 0, !quiet, `${requestsAfter} requests after it was shown`);
			});
		};
		await Promise.all(states.map(checkPage));
	});
}

test('a page that is opened in the background sends its first request when it becomes visible', async (t) => {
	const edge = await startMockEdge(t);
	for (const address of [`/watch/${RACE}`, '/schedule', '/status']) {
		await t.test(address, async (t) => {
			const { page, traffic, hide, show } = await openTabs(t);
			await page.clock.install();
			await hide();
			await page.goto(edge.origin + address);
			assert.equal(sum(await runPage(page, traffic, MINUTE)), 0);
			await show();
			await eventually(() => apiRequests(traffic) > 0, 'it asks when it is looked at', 5);
		});
	}
});

test('a document that has not changed is not sent again, and the version of its map is', async (t) => {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t);
	await page.goto(`${edge.origin}/status`);
	await page.getByText('Map version').waitFor();
	const { versions, transferSize, encodedBodySize } = await page.evaluate(async () => {
		const versions = [];
		for (let n = 0; n < 2; n += 1) {
			const response = await fetch('/api/extractors');
			await response.text();
			versions.push(Number(response.headers.get('pitwall-map-version')));
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
		const entries = performance.getEntriesByType('resource');
		const { transferSize, encodedBodySize } = entries.findLast(({ name }) =>
			name.endsWith('/api/extractors'),
		);
		return { versions, transferSize, encodedBodySize };
	});
	// A browser reports 300 bytes for the header, and the body where it was sent.
	assert.ok(transferSize <= 300 && encodedBodySize > 0, `${transferSize} bytes for ${encodedBodySize}`);
	assert.ok(versions[1] > versions[0], `versions: ${versions}`);
});
