const NAME = 'pitwall:playing';

/** Marks the first picture of the page's life: the end of the three-second path. */
export function markPlaying(): void {
	if (performance.getEntriesByName(NAME).length === 0) performance.mark(NAME);
}
