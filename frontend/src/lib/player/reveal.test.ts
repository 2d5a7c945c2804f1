import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Reveal } from './reveal.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const picture = { closest: () => null } as unknown as EventTarget;
const control = { closest: () => ({}) } as unknown as EventTarget;

/** Whether a press of this kind is spent on showing the controls. */
function isSpent(reveal: Reveal, pointerType: string, target = picture): boolean {
	const event = { detail: 1, stopPropagation: vi.fn(), preventDefault: vi.fn() };
	reveal.onpointerdown({ pointerType, target }, reveal.idle);
	reveal.onpointerleave({ pointerType });
	reveal.onclickcapture(event);
	return event.stopPropagation.mock.calls.length > 0;
}

test.each([
	['touch', picture, true],
	['pen', picture, true],
	['mouse', picture, false],
	['touch', control, false],
])('%s on hidden controls', (pointerType, target, expected) => {
	const reveal = new Reveal();
	reveal.hide();
	expect(isSpent(reveal, pointerType, target)).toBe(expected);
});

test('a long press, which ends without a click, takes no press of a key', () => {
	const reveal = new Reveal();
	reveal.hide();
	reveal.onpointerdown({ pointerType: 'touch', target: picture }, true);
	const key = { detail: 0, stopPropagation: vi.fn(), preventDefault: vi.fn() };
	reveal.onclickcapture(key);
	expect(key.stopPropagation).not.toHaveBeenCalled();
});

test('ten taps: every other one acts, and a lifted finger hides nothing', () => {
	const reveal = new Reveal();
	for (let round = 0; round < 10; round += 1) {
		reveal.hide();
		expect(isSpent(reveal, 'touch')).toBe(true);
		expect(reveal.idle).toBe(false);
		expect(isSpent(reveal, 'touch')).toBe(false);
	}
});

test('controls rest after three seconds from the start, and when the mouse leaves', () => {
	const reveal = new Reveal();
	reveal.wake();
	vi.advanceTimersByTime(2_999);
	expect(reveal.idle).toBe(false);
	vi.advanceTimersByTime(1);
	expect(reveal.idle).toBe(true);
	reveal.onpointermove({ pointerType: 'touch' });
	expect(reveal.idle).toBe(true);
	reveal.onpointermove({ pointerType: 'mouse' });
	expect(reveal.idle).toBe(false);
	reveal.onpointerleave({ pointerType: 'mouse' });
	expect(reveal.idle).toBe(true);
});
