import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ServerClock } from './clock';

const here = Date.parse('2026-11-22T04:00:00Z');

beforeEach(() => void vi.useFakeTimers({ now: here }));
afterEach(() => void vi.useRealTimers());

/** Observes a Date field that arrived after `took` milliseconds, and compares the offset in whole seconds. */
function check(header: string | null, expected: number, took = 100) {
	const clock = new ServerClock();
	clock.observe(header, here - took, here);
	expect(Math.round(clock.offset / 1_000)).toBe(expected);
}

test('a clock that is ten minutes slow', () => check('Sun, 22 Nov 2026 04:10:00 GMT', 601));
test('a clock that agrees is left alone', () => check('Sun, 22 Nov 2026 04:00:00 GMT', 0));
test('a response without a Date field', () => check(null, 0));
test('a Date field that is not a date', () => check('tomorrow', 0));
test('a response that took too long is ignored', () => check('Sun, 22 Nov 2026 04:10:00 GMT', 0, 6_000));

test('an exact offset is not replaced by one in whole seconds', () => {
	const clock = new ServerClock();
	clock.set(600_250);
	clock.observe('Sun, 22 Nov 2026 04:10:00 GMT', here - 50, here);
	expect(clock.now()).toBe(here + 600_250);
});
