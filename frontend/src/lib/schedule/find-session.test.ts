import { expect, test } from 'vitest';
import { findSession } from './find-session';
import { meeting, schedule, session } from './fixtures';

const season = schedule(
	meeting('harbour', [
		session({ id: '2026:harbour-grand-prix:harbour:race' }),
		session({ id: '2026:harbour-grand-prix:harbour:fp1' }),
	]),
	{
		...meeting('canyon', [session({ id: '2026:canyon-grand-prix:canyon:race' })]),
		former_ids: ['2026:gorge-grand-prix:gorge'],
	},
);

test.each([
	['itself', '2026:canyon-grand-prix:canyon:race', '2026:canyon-grand-prix:canyon:race'],
	[
		'moved to another circuit',
		'2026:harbour-grand-prix:old-docks:race',
		'2026:harbour-grand-prix:harbour:race',
	],
	['renamed', '2026:big-port-grand-prix:harbour:fp1', '2026:harbour-grand-prix:harbour:fp1'],
	[
		'renamed and moved, found by a former id of the meeting',
		'2026:gorge-grand-prix:gorge:race',
		'2026:canyon-grand-prix:canyon:race',
	],
	['a session that the renamed meeting does not have', '2026:gorge-grand-prix:gorge:sprint', null],
	['another season', '2025:harbour-grand-prix:harbour:race', null],
	['a session that the meeting does not have', '2026:canyon-grand-prix:canyon:sprint', null],
	['not an id', 'nonsense', null],
])('%s', (_, id, expected) => {
	expect(findSession(season, id)?.id ?? null).toBe(expected);
});

test('without a schedule no session is found', () => {
	expect(findSession(null, '2026:canyon-grand-prix:canyon:race')).toBeNull();
});
