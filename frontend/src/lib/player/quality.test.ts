import { expect, test } from 'vitest';
import { bitrateLabel, toQualities, findMatchingLevel } from './quality';

const available = toQualities([
	{ height: 360, bitrate: 900_000, frameRate: 25 },
	{ height: 1080, bitrate: 6_200_000, frameRate: 50 },
	{ height: 1080, bitrate: 4_000_000, frameRate: 50 },
	{ height: 0, bitrate: 64_000, frameRate: 0 },
]);

test('qualities are sorted best first, labelled by height and frame rate, and keep their level index', () => {
	expect(available.map(({ level, label, detail }) => [level, label, detail])).toEqual([
		[1, '1080p50', '6.2 Mb/s'],
		[2, '1080p50', '4.0 Mb/s'],
		[0, '360p', '900 kb/s'],
		[3, '64 kb/s', '64 kb/s'],
	]);
});

test('the selected quality is found again after a reload', () => {
	const selected = { level: 7, label: '', detail: '', height: 1080, bitrate: 4_100_000 };
	expect(findMatchingLevel(selected, available)).toBe(2);
	expect(findMatchingLevel({ ...selected, height: 720 }, available)).toBe(-1);
	expect(findMatchingLevel(null, available)).toBe(-1);
});

test('an unknown bit rate has an empty label', () => expect(bitrateLabel(null)).toBe(''));
