import { expect, test } from 'vitest';
import type { Claim } from '$lib/api/documents';
import { describeDisagreement } from './disagreement';
import { session } from './fixtures';

const claim = (source: string, overrides: Partial<Claim> = {}): Claim => ({
	source,
	start: '2026-11-22T19:00:00Z',
	date: '2026-11-22',
	cancelled: false,
	...overrides,
});
const day = { start: null, date: '2026-11-23' };

test.each([
	['nobody disagrees', [], 'upcoming', null],
	['one does', [claim('openf1')], 'upcoming', 'openf1 says Sun 22 Nov 20:00'],
	[
		'two say the same, one something else',
		[claim('openf1'), claim('ics'), claim('club', { cancelled: true })],
		'live',
		'openf1 and ics say Sun 22 Nov 20:00; club says it is cancelled',
	],
	['a day without a time', [claim('ics', day)], 'upcoming', 'ics says Mon 23 Nov'],
	['it may go ahead after all', [claim('ics')], 'cancelled', 'ics says Sun 22 Nov 20:00'],
	['it is over', [claim('openf1')], 'past', null],
] as const)('%s', (_, disagreement, status, expected) => {
	const disputed = session({ start: '2026-11-22T16:00:00Z', disagreement: [...disagreement] });
	const description = describeDisagreement(disputed, status, 'Europe/Berlin', 'en-GB');
	// Versions of ICU differ in the comma after the day.
	expect(description?.replaceAll(',', '') ?? null).toBe(expected);
});

test('a session without the field `disagreement`', () => {
	expect(describeDisagreement(session(), 'upcoming', 'UTC')).toBeNull();
});
