import { t } from '$lib/i18n/texts';
import { decimal } from '$lib/i18n/number';

/** What is known while a tile waits for media. Times in seconds, rates in bit/s. */
export interface BufferingFacts {
	outage: string | null;
	/** What the connection gave lately; null if unknown. */
	bandwidth: number | null;
	/** What the picture on screen needs; null if unknown. */
	bitrate: number | null;
	/** Media between the playhead and the end of the playlist. */
	unplayed: number;
	/** How long the edge waited for the source of the last response, as `Server-Timing` says; null if it does not say. */
	originSeconds: number | null;
	/** Age of the newest playlist that had a new segment. */
	playlistAge: number;
	targetDuration: number;
}

/** Why a tile buffers, in one sentence. */
export function bufferingReason(facts: BufferingFacts): string {
	const { outage, bandwidth, bitrate, unplayed, originSeconds, playlistAge, targetDuration } = facts;
	if (outage) return t('sentence', { text: outage });
	if (unplayed < targetDuration / 2 && playlistAge > 2 * targetDuration)
		return t('nothingNew', { count: Math.round(playlistAge) });
	if (originSeconds !== null && originSeconds > targetDuration)
		return t('sourceSlow', { seconds: decimal(originSeconds) });
	if (bandwidth && bitrate && bandwidth < 1.1 * bitrate)
		return t('connectionSlow', { has: megabits(bandwidth), needs: megabits(bitrate) });
	if (unplayed < targetDuration / 2) return t('waitsAtEnd');
	return t('onItsWay');
}

function megabits(rate: number): string {
	return decimal(rate / 1e6);
}
