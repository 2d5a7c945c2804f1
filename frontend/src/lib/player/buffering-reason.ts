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
	if (outage) return `${outage}.`;
	if (unplayed < targetDuration / 2 && playlistAge > 2 * targetDuration)
		return `The source has sent nothing new for ${Math.round(playlistAge)} s.`;
	if (originSeconds !== null && originSeconds > targetDuration)
		return `The source is slow: it took ${originSeconds.toFixed(1)} s to answer.`;
	if (bandwidth && bitrate && bandwidth < 1.1 * bitrate)
		return `Your connection gives ${megabits(bandwidth)} Mb/s, and this picture needs ${megabits(bitrate)}.`;
	if (unplayed < targetDuration / 2) return 'It waits for the next piece, at the very end of what there is.';
	return 'The next piece is on its way.';
}

function megabits(rate: number): string {
	return (rate / 1e6).toFixed(1);
}
