import { expect, test } from 'vitest';
import type { Stream } from '$lib/api/documents';
import { describeDowntime } from './downtime';

const now = Date.parse('2026-11-29T02:00:00Z');
const stream: Stream = {
	id: 'garage-camera',
	feed: 'Garage camera',
	playlist: '/live/garage-camera/index.m3u8',
	health: 'down',
	sources: [],
	renditions: [],
};

test.each([
	[{ health: 'healthy' }, null],
	[
		{ down_since: '2026-11-29T01:52:28Z', reason: 'cannot be connected to' },
		'Down since 01:52:28: cannot be connected to',
	],
	[
		{ down_since: '2026-11-28T23:52:28Z', reason: 'it has ended' },
		'Down since Sat 28 Nov, 23:52:28: it has ended',
	],
	[{ down_since: '2026-11-29T01:52:28Z' }, 'Down since 01:52:28'],
	[{ reason: 'its source has not been asked yet' }, 'Down: its source has not been asked yet'],
] as [Partial<Stream>, string | null][])('%o', (given, expected) => {
	expect(describeDowntime({ ...stream, ...given }, now, 'UTC', 'en-GB')).toBe(expected);
});
