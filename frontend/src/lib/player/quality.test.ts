import { expect, test } from 'vitest';
import { bitrateLabel, qualitiesOf, sameQuality } from './quality';

const offered = qualitiesOf([
	{ height: 360, bitrate: 900_000, frameRate: 25 },
	{ height: 1080, bitrate: 6_200_000, frameRate: 50 },
	{ height: 1080, bitrate: 4_000_000, frameRate: 50 },
	{ height: 0, bitrate: 64_000, frameRate: 0 },
]);

test('best first, named by height and rate, each with its own index', () => {
	expect(offered.map(({ level, label, detail }) => [level, label, detail])).toEqual([
		[1, '1080p50', '6.2 Mb/s'],
		[2, '1080p50', '4.0 Mb/s'],
		[0, '360p', '900 kb/s'],
		[3, '64 kb/s', '64 kb/s'],
	]);
});

test('a choice is found again after a reload', () => {
	const chosen = { level: 7, label: '', detail: '', height: 1080, bitrate: 4_100_000 };
	expect(sameQuality(chosen, offered)).toBe(2);
	expect(sameQuality({ ...chosen, height: 720 }, offered)).toBe(-1);
	expect(sameQuality(null, offered)).toBe(-1);
});

test('no bit rate, no label', () => expect(bitrateLabel(null)).toBe(''));
