import { expect, test } from 'vitest';
import type { Rendition, Stream } from '$lib/api/documents';
import { best, playable, tallest, topBandwidth, downSince, reasons } from './streams';

const stream = (id: string, health: Stream['health'], renditions: Partial<Rendition>[] = []) =>
	({ id, health, renditions, sources: [] }) as unknown as Stream;

test('best is the first healthy one, else the first that is not down', () => {
	const [down, degraded, healthy] = [stream('x', 'down'), stream('y', 'degraded'), stream('z', 'healthy')];
	expect(best([down, degraded, healthy])).toBe(healthy);
	expect(best([down, degraded])).toBe(degraded);
	expect(best([down])).toBeNull();
	expect(playable([down, degraded, healthy])).toEqual([degraded, healthy]);
});

test('sources that say the same of their faults are told once', () => {
	const source = { name: 'alpha', label: 'Alpha CDN', error: 'playlist: 503' };
	const down = {
		...stream('a', 'down'),
		sources: [source, source],
		down_since: '2026-01-01T00:00:00Z',
	} as Stream;
	expect([downSince(down, Date.parse('2026-01-01T00:12:00Z')), ...reasons(down)]).toEqual([
		'Down for 12 min',
		'Alpha CDN: playlist: 503',
	]);
	expect(downSince({ ...down, down_since: null }, 0)).toBeNull();
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
] as const)('what %j offers', (renditions, picture, bandwidth) => {
	const offered = stream('a', 'healthy', [...renditions]);
	expect(tallest(offered)).toBe(picture);
	expect(topBandwidth(offered)).toBe(bandwidth);
});
