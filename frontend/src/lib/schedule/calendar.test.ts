import { expect, test } from 'vitest';
import { calendarAt } from './calendar';
import { meeting, schedule, session, timedSession } from './fixtures';

const early = meeting('early', [timedSession('e:race', '2026-11-08T04:00:00Z')]);
const middle = meeting('middle', [
	timedSession('m:race', '2026-11-15T04:00:00Z'),
	timedSession('m:fp1', '2026-11-13T04:00:00Z'),
	{ ...timedSession('m:fp2', '2026-11-13T08:00:00Z'), status: 'cancelled' },
]);
const late = meeting('late', [session({ id: 'l:race', date: '2026-11-22' })]);
const bare = meeting('bare', []);
const dropped = meeting('dropped', [
	{ ...timedSession('d:race', '2026-11-29T04:00:00Z'), status: 'cancelled' },
]);

/** Compares the ids of the meetings ahead and behind, and the headline's session and status. */
function check(now: string, expected: { ahead: string[]; behind: string[]; headline: string | null }) {
	const calendar = calendarAt(schedule(late, early, bare, middle, dropped), Date.parse(now));
	expect({
		ahead: calendar.ahead.map(({ meeting }) => meeting.id),
		behind: calendar.behind.map(({ meeting }) => meeting.id),
		headline: calendar.headline && `${calendar.headline.session.id} ${calendar.headline.status}`,
	}).toEqual(expected);
}

test('before the season: soonest first, cancelled meetings and unknown dates last', () => {
	check('2026-11-01T00:00:00Z', {
		ahead: ['early', 'middle', 'late', 'bare'],
		behind: ['dropped'],
		headline: 'e:race upcoming',
	});
});

test('between two sessions of a meeting the meeting is ahead, and a cancelled session is no headline', () => {
	check('2026-11-13T07:00:00Z', {
		ahead: ['middle', 'late', 'bare'],
		behind: ['dropped', 'early'],
		headline: 'm:race upcoming',
	});
});

test('a live session is the headline', () => {
	check('2026-11-15T05:00:00Z', {
		ahead: ['middle', 'late', 'bare'],
		behind: ['dropped', 'early'],
		headline: 'm:race live',
	});
});

test('a session without a time can be the headline', () => {
	check('2026-11-20T00:00:00Z', {
		ahead: ['late', 'bare'],
		behind: ['dropped', 'middle', 'early'],
		headline: 'l:race upcoming',
	});
});

test('after the season there is no headline', () => {
	check('2026-12-20T00:00:00Z', {
		ahead: ['bare'],
		behind: ['dropped', 'late', 'middle', 'early'],
		headline: null,
	});
});

test('a schedule without meetings', () => {
	expect(calendarAt(schedule(), 0)).toEqual({ headline: null, ahead: [], behind: [] });
});

test('sessions of a meeting are in order of time', () => {
	const [group] = calendarAt(schedule(middle), Date.parse('2026-11-13T00:00:00Z')).ahead;
	expect(group?.sessions.map(({ session }) => session.id)).toEqual(['m:fp1', 'm:fp2', 'm:race']);
});
