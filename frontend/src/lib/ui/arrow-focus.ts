import { directionOf, nearestInDirection, type Box } from './spatial';

const FOCUSABLE = 'a[href], button:not(:disabled), input:not(:disabled), select, summary';
/** What uses arrows itself. */
const KEEPS_ARROWS =
	'select, textarea, input:not([type=range]), [role=menu], dialog, [data-testid=move-tile]';

/** Whether the page has seen a mouse or a finger: a TV remote never moves one. */
let hasPointer = false;
if (typeof window !== 'undefined') {
	for (const type of ['pointermove', 'pointerdown'])
		addEventListener(type, () => (hasPointer = true), { passive: true });
}

/**
 * Moves the focus with the arrows, as the remote of a TV does. It does so while the focus is visible on a control, and
 * up and down do so from the start where no pointer has been seen; else arrows are shortcuts. Returns whether the key was used.
 */
export function moveFocus(event: KeyboardEvent): boolean {
	const direction = directionOf(event.key);
	const isSideways = direction === 'left' || direction === 'right';
	const { ctrlKey, metaKey, altKey, shiftKey, defaultPrevented } = event;
	if (!direction || ctrlKey || metaKey || altKey || shiftKey || defaultPrevented) return false;
	const focused = document.activeElement;
	const hasFocus = focused instanceof HTMLElement && focused.matches(`:focus-visible:is(${FOCUSABLE})`);
	if (focused?.closest(KEEPS_ARROWS)) return false;
	if (focused instanceof HTMLInputElement && isSideways) return false;
	if (!hasFocus && (hasPointer || isSideways)) return false;

	const root = document.fullscreenElement ?? document;
	const candidates = [...root.querySelectorAll<HTMLElement>(FOCUSABLE)]
		.filter((item) => item !== focused && isVisible(item))
		.map((item) => ({ item, box: item.getBoundingClientRect() as Box }));
	const target = hasFocus
		? nearestInDirection(focused.getBoundingClientRect(), candidates, direction)
		: (root.querySelector<HTMLElement>('[data-testid=tile-stream]') ?? candidates[0]?.item);
	target?.focus({ focusVisible: true } as FocusOptions);
	target?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
	return true;
}

function isVisible(element: HTMLElement): boolean {
	return element.checkVisibility?.({ visibilityProperty: true }) ?? element.offsetParent !== null;
}
