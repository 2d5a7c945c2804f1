import { tick } from 'svelte';

/**
 * Runs a change of the wall that shows a stream. Who pressed a key to do so finds the focus on the stream's tile, because
 * the pressed control may be gone; a mouse leaves it where it was, so that keys stay shortcuts.
 */
export async function showAndFocus(stream: string, change: () => void): Promise<void> {
	const isByKeyboard = document.activeElement?.matches(':focus-visible') ?? false;
	change();
	await tick();
	const selector = `[data-testid=tile][data-stream="${stream}"] [data-testid=tile-stream]`;
	const target = document.querySelector<HTMLElement>(selector);
	if (isByKeyboard) target?.focus();
	else target?.scrollIntoView({ block: 'nearest' });
}
