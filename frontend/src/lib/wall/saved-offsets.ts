import { readStored, writeStored } from '$lib/ui/storage';

const STORAGE_KEY = 'pitwall:offsets';

/** The offset in seconds that the viewer gave this stream, in this browser; 0 if none. */
export function savedOffset(stream: string): number {
	return readStored<Record<string, number>>(STORAGE_KEY)?.[stream] ?? 0;
}

export function saveOffset(stream: string, seconds: number): void {
	const offsets = { ...readStored<Record<string, number>>(STORAGE_KEY), [stream]: seconds };
	writeStored(STORAGE_KEY, Object.fromEntries(Object.entries(offsets).filter(([, offset]) => offset !== 0)));
}
