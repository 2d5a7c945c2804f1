import { expect, test } from 'vitest';
import { StallWatch } from './stall';

/** A beat a second, with the playhead at the given positions; when it was called stalled. */
function check(positions: number[], expected: number[], playing = true) {
	const watch = new StallWatch();
	const stalls = positions.flatMap((position, second) =>
		watch.beat(position, playing, (second + 1) * 1_000) === 'stalled' ? [second] : [],
	);
	expect(stalls).toEqual(expected);
}

const still = (seconds: number, at = 5) => Array.from({ length: seconds }, () => at);

test('moving', () => check([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], []));
test('eight seconds still, and eight more', () => check([4, ...still(18)], [9, 17]));
test('seven are not enough', () => check([4, ...still(8), 6, 7], []));
test('paused is not stalled', () => check([4, ...still(60)], [], false));
test('before the first picture there is patience', () => check(still(35, 0), [30]));

test('a machine that slept did not stall', () => {
	const watch = new StallWatch();
	watch.beat(1, true, 1_000);
	watch.beat(2, true, 2_000);
	expect(watch.beat(2, true, 60_000)).toBe('still');
});
