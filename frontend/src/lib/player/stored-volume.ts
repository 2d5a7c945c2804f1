import { readStored, writeStored } from '$lib/ui/storage';

const BY_STREAM_KEY = 'pitwall:volumes';
/** The volume that was set last, for streams that have none of their own. */
const LAST_KEY = 'pitwall:volume';

/** The volume that this stream had last in this browser, from 0 to 1. */
export function storedVolume(stream: string): number {
	const stored = readStored<Record<string, number>>(BY_STREAM_KEY)?.[stream] ?? readStored<number>(LAST_KEY);
	return typeof stored === 'number' && stored >= 0 && stored <= 1 ? stored : 1;
}

export function storeVolume(stream: string, volume: number): void {
	writeStored(BY_STREAM_KEY, { ...readStored<Record<string, number>>(BY_STREAM_KEY), [stream]: volume });
	writeStored(LAST_KEY, volume);
}
