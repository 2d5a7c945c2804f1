// What an open page asks its edge for: little, at a steady pace, and nothing while nobody can see it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tabs } from './support/browser.mjs';
import { mock, RACE } from './support/mock.mjs';
import { eventually } from './support/process.mjs';

const MINUTE = 60;
/** Longer than the longest pause between two rounds. */
const HIDDEN = 75;
const MOST_IN_TEN_SECONDS = 8;
/** Rounds are 10 to 72 s apart: a minute may have two more of each of three documents than another. */
const ROUNDS_APART = 6;

const LAKESIDE = '2026:lakeside-grand-prix:lakeside';

/** Of each kind of page one, for every run: FULL=1 takes them all. */
const EVERY_RUN = [
	'the schedule',
	'two tiles',
	'a session to come',
	'the status',
	'a live session without streams',
	'two tiles of an edge that is gone',
];

/** Every page and state that can be left open, by what the edge says meanwhile. `quiet`: it asks nothing at all. */
const left = {
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

const count = ({ requests }) => requests.filter((url) => new URL(url).pathname.startsWith('/api/')).length;
const sum = (counts) => counts.reduce((all, one) => all + one, 0);
const mostInTen = (counts) => Math.max(...counts.map((_, from) => sum(counts.slice(from, from + 10))));

/** Lets the page live for so many of its seconds; gives the requests of each. FULL=1: in real time. */
async function live(page, seen, seconds) {
	const counts = [];
	for (let second = 0; second < seconds; second += 1) {
		const before = count(seen);
		if (process.env.FULL) await page.waitForTimeout(1_000);
		else {
			await page.clock.runFor(1_000);
			// Answers come in real time: a second of the page's is given some milliseconds.
			await new Promise((resolve) => setTimeout(resolve, 15));
		}
		counts.push(count(seen) - before);
	}
	return counts;
}

for (const [scenario, all] of Object.entries(left)) {
	const states = all.filter(([name]) => process.env.FULL || EVERY_RUN.includes(name));
	if (states.length === 0) continue;
	test(`left open, ${scenario}`, { concurrency: process.env.FULL ? 4 : 2 }, async (t) => {
		const shared = scenario === 'gone' ? null : await mock(t, scenario);
		const open = async ([name, address, { quiet = false } = {}]) => {
			await t.test(name, async (t) => {
				const edge = shared ?? (await mock(t));
				const { page, seen, hide, show } = await tabs(t);
				if (!process.env.FULL) await page.clock.install();
				await page.goto(edge.origin + address);
				await page.locator('h1').waitFor();
				if (scenario === 'gone') await edge.stop();
				const shown = await live(page, seen, 2 * MINUTE);
				const tens = shown.flatMap((_, at) => (at % 10 ? [] : [sum(shown.slice(at, at + 10))]));
				t.diagnostic(`${name}: ${tens.join(' ')}`);
				assert.ok(mostInTen(shown) <= MOST_IN_TEN_SECONDS, `${mostInTen(shown)} in ten seconds: ${tens}`);
				const [first, second] = [sum(shown.slice(0, MINUTE)), sum(shown.slice(MINUTE))];
				assert.ok(second <= first + ROUNDS_APART, `${first} in the first minute, ${second} in the second`);
				await hide();
				// What was on its way still comes.
				await page.waitForTimeout(200);
				const hidden = await live(page, seen, HIDDEN);
				assert.equal(sum(hidden), 0, 'nothing is asked while hidden');
				const asked = count(seen);
				await show();
				if (quiet) await page.waitForTimeout(200);
				else await eventually(() => count(seen) > asked, 'it catches up when it is shown', 5);
				await live(page, seen, 10);
				const again = count(seen) - asked;
				assert.ok(again <= MOST_IN_TEN_SECONDS, `${again} requests in ten seconds when shown`);
				assert.equal(again > 0, !quiet, `${again} requests after it was shown`);
			});
		};
		await Promise.all(states.map(open));
	});
}

test('a page opened behind another asks when it is looked at', async (t) => {
	const edge = await mock(t);
	for (const address of [`/watch/${RACE}`, '/schedule', '/status']) {
		await t.test(address, async (t) => {
			const { page, seen, hide, show } = await tabs(t);
			await page.clock.install();
			await hide();
			await page.goto(edge.origin + address);
			assert.equal(sum(await live(page, seen, MINUTE)), 0);
			await show();
			await eventually(() => count(seen) > 0, 'it asks when it is looked at', 5);
		});
	}
});
