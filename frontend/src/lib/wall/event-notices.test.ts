import { expect, test } from 'vitest';
import type { Session, Stream } from '$lib/api/documents';
import { sessionNotice, switchNotice } from './event-notices';

const streams = [
	{
		id: 'world-feed',
		feed: 'World feed',
		sources: [
			{ name: 'club', label: 'Demo club' },
			{ name: 'mirror', label: null },
		],
	},
] as unknown as Stream[];

test.each<[string | null, string | null, boolean, string | null]>([
	['club', 'mirror', true, 'World feed now comes from mirror, because Demo club broke off.'],
	['mirror', 'club', false, 'World feed now comes from Demo club.'],
	['club', null, true, 'World feed is off: Demo club broke off and there is no other source.'],
	[null, 'club', false, null],
])('switched from %s to %s (dead: %s): %s', (from, to, isDead, text) => {
	const dead = new Set(isDead ? [`world-feed ${from}`] : []);
	expect(switchNotice({ stream: 'world-feed', from, to }, streams, dead)).toBe(text);
	expect(switchNotice({ stream: 'another', from, to }, streams, dead)).toBeNull();
});

const session = (status: string, start = '2026-05-03T13:00:00Z', id = 'race') =>
	({ id, name: 'Race', status, start }) as Session;

test.each<[Session | null, Session | null, string | null]>([
	[session('upcoming'), session('live'), 'Race is live now.'],
	[null, session('live'), 'Race is live now.'],
	[session('live'), session('live'), null],
	[
		session('upcoming'),
		session('upcoming', '2026-05-03T13:30:00Z'),
		'Race starts 30 min later than announced.',
	],
	[
		session('upcoming'),
		session('upcoming', '2026-05-03T10:00:00Z'),
		'Race starts 180 min earlier than announced.',
	],
	[session('upcoming'), session('cancelled'), 'Race is cancelled.'],
	[session('live'), session('upcoming', '2026-05-10T13:00:00Z', 'next'), null],
	[session('live'), null, null],
])('from %j to %j: %s', (before, after, text) => expect(sessionNotice(before, after)).toBe(text));
