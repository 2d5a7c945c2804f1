import { expect, test } from 'vitest';
import { StallDetector } from './stall-detector';

/** Calls `tick` once a second with the given positions, and compares the seconds at which it reports a stall. */
function check(positions: number[], expected: number[], shouldPlay = true) {
	const detector = new StallDetector();
	const stalls = positions.flatMap((position, second) =>
		detector.tick(position, shouldPlay, (second + 1) * 1_000) === 'stalled' ? [second] : [],
	);
	expect(stalls).toEqual(expected);
}

const standingStill = (seconds: number, at = 5) => Array.from({ length: seconds }, () => at);

test('a moving playhead is not stalled', () => check([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], []));
test('a playhead that stands still is reported every eight seconds', () =>
	check([4, ...standingStill(18)], [9, 17]));
test('seven seconds are not a stall', () => check([4, ...standingStill(8), 6, 7], []));
test('paused playback is not stalled', () => check([4, ...standingStill(60)], [], false));
test('before the first movement a stall is reported after thirty seconds', () =>
	check(standingStill(35, 0), [30]));

test('the time during which the machine slept is not a stall', () => {
	const detector = new StallDetector();
	detector.tick(1, true, 1_000);
	detector.tick(2, true, 2_000);
	expect(detector.tick(2, true, 60_000)).toBe('still');
});
