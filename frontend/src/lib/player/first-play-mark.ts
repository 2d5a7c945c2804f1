const FIRST_PLAY_MARK = 'pitwall:playing';

/** Marks the first playback since the page was opened: by design it comes within three seconds. */
export function markFirstPlay(): void {
	if (performance.getEntriesByName(FIRST_PLAY_MARK).length === 0) performance.mark(FIRST_PLAY_MARK);
}
