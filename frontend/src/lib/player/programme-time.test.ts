import { expect, test } from 'vitest';
import { hlsTimes, nativeTimes } from './media-times';
import { ProgrammeTime } from './programme-time';

const NOW = Date.parse('2026-05-03T13:00:00Z');
const details = { fragments: [{}], fragmentStart: 100, edge: 400, targetduration: 2, partTarget: 0.5 };

function programmeTime(playingDate: Date | null, more: object = {}) {
	const hls = { playingDate, latency: 6, latestLevelDetails: details, liveSyncPosition: 394, ...more };
	const video = { currentTime: 394 };
	return { video, time: new ProgrammeTime(video, hlsTimes(hls as never)) };
}

test.each([
	['by its dates', new Date(NOW - 8_000), true, {}, [-8_000, -300_000, -2_000, -4_000, -8_000, 'clock']],
	['without dates', null, true, {}, [-6_000, -298_000, 0, -2_000, -6_000, 'playlist']],
	['with dates of last year', new Date(0), false, {}, [-6_000, -298_000, 0, -2_000, -6_000, 'playlist']],
	[
		'in parts',
		new Date(NOW - 8_000),
		true,
		{ lowLatencyMode: true },
		[-8_000, -300_000, -2_000, -2_500, -8_000, 'clock'],
	],
])('a stream %s', (_, playingDate, plausible, more, [date, earliest, edge, latest, live, basis]) => {
	const position = programmeTime(playingDate, more).time.read(NOW, plausible);
	const after = (ms: unknown) => NOW + Number(ms);
	expect(position).toEqual({
		date: after(date),
		earliest: after(earliest),
		edge: after(edge),
		latest: after(latest),
		live: after(live),
		basis,
	});
});

test('the date of a stream without dates goes on with its media time, not with its playlist', () => {
	const { video, time } = programmeTime(null);
	expect(time.read(NOW, true)?.date).toBe(NOW - 6_000);
	video.currentTime += 10;
	expect(time.read(NOW + 11_300, true)?.date).toBe(NOW + 4_000);
	time.reset();
	expect(time.read(NOW + 11_300, true)?.date).toBe(NOW + 5_300);
});

test('without a playlist nothing is known', () => {
	expect(programmeTime(new Date(NOW), { latestLevelDetails: null }).time.read(NOW, true)).toBeNull();
});

/** A video whose HLS the browser plays itself: it holds 300 seconds up to media time 400. */
function nativeTime(getStartDate?: () => Date) {
	const seekable = { length: 1, start: () => 100, end: () => 400 };
	const video = { currentTime: 390, duration: Infinity, seekable, ...(getStartDate && { getStartDate }) };
	return { video, time: new ProgrammeTime(video, nativeTimes(video)) };
}

test.each([
	['has dates', () => new Date(NOW - 400_000), true, -10_000, 'clock'],
	['has dates of last year', () => new Date(0), false, -10_000, 'playlist'],
	['has no dates', () => new Date(Number.NaN), true, -10_000, 'playlist'],
	['does not tell dates', undefined, true, -10_000, 'playlist'],
])('a stream that the browser itself plays and that %s', (_, getStartDate, plausible, date, basis) => {
	expect(nativeTime(getStartDate).time.read(NOW, plausible)).toEqual({
		date: NOW + date,
		earliest: NOW - 298_000,
		edge: NOW,
		latest: NOW - 1_000,
		live: NOW - 2_000,
		basis,
	});
});

test('before the browser has loaded anything nothing is known', () => {
	const { video, time } = nativeTime();
	video.seekable.length = 0;
	expect(time.read(NOW, true)).toBeNull();
});
