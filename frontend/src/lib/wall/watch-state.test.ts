import { expect, test } from 'vitest';
import type { SessionStatus } from '$lib/api/documents';
import { session } from '$lib/schedule/fixtures';
import { watchState, type WatchState } from './watch-state';

const race = session();

test.each<[SessionStatus | null, 'loading' | 'fresh' | 'failed', boolean, WatchState]>([
	['live', 'fresh', false, 'wall'],
	['live', 'loading', false, 'wall'],
	['upcoming', 'fresh', false, 'waiting'],
	['cancelled', 'fresh', true, 'waiting'],
	['past', 'fresh', false, 'waiting'],
	['past', 'fresh', true, 'wall'],
	[null, 'loading', false, 'loading'],
	[null, 'fresh', false, 'unknown'],
	[null, 'failed', false, 'unsure'],
])('a session that is %s (schedule %s, watched: %s): %s', (status, schedule, wasWatched, expected) => {
	const found = status === null ? null : race;
	expect(watchState({ sessionId: race.id, session: found, status, schedule, wasWatched })).toBe(expected);
});

test('without a session in the URL the wall is always shown', () => {
	const known = {
		sessionId: null,
		session: null,
		status: null,
		schedule: 'failed',
		wasWatched: false,
	} as const;
	expect(watchState(known)).toBe('wall');
});
