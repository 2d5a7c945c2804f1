import { expect, test } from 'vitest';
import type { Rendition, Stream } from '$lib/api/documents';
import {
	bestStream,
	playableStreams,
	resolutionLabel,
	maxBandwidth,
	downtimeLabel,
	sourceErrors,
} from './streams';

const stream = (id: string, health: Stream['health'], renditions: Partial<Rendition>[] = []) =>
	({ id, health, renditions, sources: [] }) as unknown as Stream;

test('the best stream is the first healthy one, else the first that is not down', () => {
	const [down, degraded, healthy] = [stream('x', 'down'), stream('y', 'degraded'), stream('z', 'healthy')];
	expect(bestStream([down, degraded, healthy])).toBe(healthy);
	expect(bestStream([down, degraded])).toBe(degraded);
	expect(bestStream([down])).toBeNull();
	expect(playableStreams([down, degraded, healthy])).toEqual([degraded, healthy]);
});

test('equal errors of two sources are listed once', () => {
	const source = { name: 'alpha', label: 'Alpha CDN', error: 'playlist: 503' };
	const down = {
		...stream('a', 'down'),
		sources: [source, source],
		down_since: '2026-01-01T00:00:00Z',
	} as Stream;
	expect([downtimeLabel(down, Date.parse('2026-01-01T00:12:00Z')), ...sourceErrors(down)]).toEqual([
		'Down for 12 min',
		'Alpha CDN: playlist: 503',
	]);
	expect(downtimeLabel({ ...down, down_since: null }, 0)).toBeNull();
});

test.each([
	[[], null, null],
	[[{ role: 'audio', bandwidth: 64_000 }], null, null],
	[
		[
			{ role: 'video', height: 720, frame_rate: 50, bandwidth: 3e6 },
			{ role: 'video', height: 1080, frame_rate: 25, bandwidth: 6e6 },
		],
		'1080p',
		6e6,
	],
	[[{ role: 'video', height: 720, frame_rate: 59.94, bandwidth: 3e6 }], '720p60', 3e6],
] as const)('resolution label and bandwidth of %j', (renditions, picture, bandwidth) => {
	const streamWithRenditions = stream('a', 'healthy', [...renditions]);
	expect(resolutionLabel(streamWithRenditions)).toBe(picture);
	expect(maxBandwidth(streamWithRenditions)).toBe(bandwidth);
});
