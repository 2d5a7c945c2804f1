import { readStored, writeStored } from '$lib/ui/storage';
import type { QualityChoice } from './quality';

const STORAGE_KEY = 'pitwall:qualities';

/** The quality that the viewer chose for this stream in this browser; null for automatic. */
export function storedQuality(stream: string): QualityChoice | null {
	const stored = readStored<Record<string, QualityChoice>>(STORAGE_KEY)?.[stream];
	return typeof stored?.height === 'number' && typeof stored.bitrate === 'number' ? stored : null;
}

export function storeQuality(stream: string, choice: QualityChoice | null): void {
	const others = Object.entries(readStored<Record<string, QualityChoice>>(STORAGE_KEY) ?? {}).filter(
		([name]) => name !== stream,
	);
	const { height, bitrate } = choice ?? {};
	writeStored(STORAGE_KEY, Object.fromEntries(choice ? [...others, [stream, { height, bitrate }]] : others));
}
