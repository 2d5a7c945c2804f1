import { describe, expect, test } from 'vitest';
import { statusAt } from './status';
import { session } from './fixtures';

const at = Date.parse;

describe('statusAt', () => {
	const race = session({
		start: '2026-11-22T04:00:00Z',
		live_from: '2026-11-22T03:55:00Z',
		live_until: '2026-11-22T07:00:00Z',
	});
	const untimed = session({ date: '2026-11-22', time_known: false });

	test.each([
		['long before', race, '2026-11-20T00:00:00Z', 'upcoming'],
		['a second before the window', race, '2026-11-22T03:54:59Z', 'upcoming'],
		['as the window opens, whatever the document says', race, '2026-11-22T03:55:00Z', 'live'],
		['on the last second', race, '2026-11-22T06:59:59Z', 'live'],
		['as the window closes', race, '2026-11-22T07:00:00Z', 'past'],
		['cancelled stays cancelled', { ...race, status: 'cancelled' }, '2026-11-22T04:30:00Z', 'cancelled'],
		[
			'overrun: the edge moved the window',
			{ ...race, live_until: '2026-11-22T09:00:00Z' },
			'2026-11-22T08:00:00Z',
			'live',
		],
		['no window: from the start', { ...race, live_from: null }, '2026-11-22T04:00:00Z', 'live'],
		[
			'no end of the window: to the end',
			{ ...race, live_until: null, end: '2026-11-22T06:00:00Z' },
			'2026-11-22T06:00:00Z',
			'past',
		],
		['no end at all: four hours', { ...race, live_until: null, end: null }, '2026-11-22T07:54:00Z', 'live'],
		['time unknown, on the day', untimed, '2026-11-22T20:00:00Z', 'upcoming'],
		['time unknown, still the day somewhere', untimed, '2026-11-23T11:00:00Z', 'upcoming'],
		['time unknown, the day over everywhere', untimed, '2026-11-23T12:00:01Z', 'past'],
		[
			'several days, on the third',
			{ ...untimed, last_date: '2026-11-25' },
			'2026-11-24T12:00:00Z',
			'upcoming',
		],
		[
			'several days, the last one over everywhere',
			{ ...untimed, last_date: '2026-11-25' },
			'2026-11-26T12:00:01Z',
			'past',
		],
		[
			'a start that is not known to be right',
			{ ...untimed, start: '2026-11-22T04:00:00Z' },
			'2026-11-22T05:00:00Z',
			'upcoming',
		],
	] as const)('%s', (_, entry, now, expected) => {
		expect(statusAt(entry, at(now))).toBe(expected);
	});
});
