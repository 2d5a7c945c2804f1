import { expect, test } from 'vitest';
import { formatAge, splitDuration, formatDuration } from './duration';

test.each([
	[0, { days: 0, hours: 0, minutes: 0, seconds: 0 }],
	[-5_000, { days: 0, hours: 0, minutes: 0, seconds: 0 }],
	[1, { days: 0, hours: 0, minutes: 0, seconds: 1 }],
	[59_000, { days: 0, hours: 0, minutes: 0, seconds: 59 }],
	[2 * 86_400_000 + 3 * 3_600_000 + 4 * 60_000 + 5_000, { days: 2, hours: 3, minutes: 4, seconds: 5 }],
])('countdown(%i)', (wait, expected) => expect(splitDuration(wait)).toEqual(expected));

test.each([
	[12_400, '12 s'],
	[-3_000, '0 s'],
	[150_000, '3 min'],
	[2 * 3_600_000 + 300_000, '2 h 5 min'],
	[7 * 3_600_000 + 300_000, '7 h'],
	[4 * 86_400_000, '4 days'],
])('span(%i)', (wait, expected) => expect(formatDuration(wait)).toBe(expected));

test('ago', () => {
	expect(formatAge('2026-11-22T04:00:00Z', Date.parse('2026-11-22T04:00:12Z'))).toBe('12 s ago');
	expect(formatAge(null, 0)).toBe('never');
	expect(formatAge('rubbish', 0)).toBe('unknown');
});
