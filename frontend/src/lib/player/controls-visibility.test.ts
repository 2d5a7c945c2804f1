import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ControlsVisibility } from './controls-visibility.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const picture = { closest: () => null } as unknown as EventTarget;
const control = { closest: () => ({}) } as unknown as EventTarget;

/** Whether the click of a press with this pointer type is swallowed because the press only shows the controls. */
function isClickSwallowed(controls: ControlsVisibility, pointerType: string, target = picture): boolean {
	const event = { detail: 1, stopPropagation: vi.fn(), preventDefault: vi.fn() };
	controls.onpointerdown({ pointerType, target }, controls.idle);
	controls.onpointerleave({ pointerType });
	controls.onclickcapture(event);
	return event.stopPropagation.mock.calls.length > 0;
}

test.each([
	['touch', picture, true],
	['pen', picture, true],
	['mouse', picture, false],
	['touch', control, false],
])('%s on hidden controls', (pointerType, target, expected) => {
	const controls = new ControlsVisibility();
	controls.hide();
	expect(isClickSwallowed(controls, pointerType, target)).toBe(expected);
});

test('a long press, which ends without a click, takes no press of a key', () => {
	const controls = new ControlsVisibility();
	controls.hide();
	controls.onpointerdown({ pointerType: 'touch', target: picture }, true);
	const key = { detail: 0, stopPropagation: vi.fn(), preventDefault: vi.fn() };
	controls.onclickcapture(key);
	expect(key.stopPropagation).not.toHaveBeenCalled();
});

test('ten taps: every other one acts, and a lifted finger hides nothing', () => {
	const controls = new ControlsVisibility();
	for (let round = 0; round < 10; round += 1) {
		controls.hide();
		expect(isClickSwallowed(controls, 'touch')).toBe(true);
		expect(controls.idle).toBe(false);
		expect(isClickSwallowed(controls, 'touch')).toBe(false);
	}
});

test('controls rest after three seconds from the start, and when the mouse leaves', () => {
	const controls = new ControlsVisibility();
	controls.show();
	vi.advanceTimersByTime(2_999);
	expect(controls.idle).toBe(false);
	vi.advanceTimersByTime(1);
	expect(controls.idle).toBe(true);
	controls.onpointermove({ pointerType: 'touch' });
	expect(controls.idle).toBe(true);
	controls.onpointermove({ pointerType: 'mouse' });
	expect(controls.idle).toBe(false);
	controls.onpointerleave({ pointerType: 'mouse' });
	expect(controls.idle).toBe(true);
});
