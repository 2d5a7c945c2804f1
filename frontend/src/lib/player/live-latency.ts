/** The programme dates of a playlist are trusted while the age of the playlist's end lies in this range. */
const PLAUSIBLE_AGE_MIN_MS = -2_000;
const PLAUSIBLE_AGE_MAX_MS = 300_000;

export interface LiveLatency {
	/** Seconds between the moment that the frame on screen shows and now. */
	seconds: number;
	/**
	 * `clock`: measured with EXT-X-PROGRAM-DATE-TIME. `playlist`: measured from the end of the playlist, where it
	 * has no programme dates or implausible ones.
	 */
	basis: 'clock' | 'playlist';
}

/** Measures how far the picture is behind the live event, also while playback is paused or stalled. */
export class LiveLatencyTracker {
	#isClockPlausible = true;
	/** The last frame on screen: its programme date, its latency to the playlist's end, and when both were measured. */
	#lastFrame: { date: number | null; latency: number; at: number } | null = null;

	/** The playlist has new segments, the last of which ends at `playlistEndDate` (milliseconds since the epoch). */
	onPlaylistAdvanced(playlistEndDate: number | null, now: number): void {
		if (playlistEndDate === null) return;
		const age = now - playlistEndDate;
		this.#isClockPlausible = age >= PLAUSIBLE_AGE_MIN_MS && age <= PLAUSIBLE_AGE_MAX_MS;
	}

	/**
	 * `playingDate` is the programme date of the frame on screen, `latency` its distance in seconds from the end of
	 * the playlist. hls.js updates `latency` only while the picture moves, so the time since the last frame is added
	 * while it stands still. A reload makes hls.js forget the date; the date of the last frame is used instead.
	 */
	measure(now: number, playingDate: number | null, latency: number, isMoving: boolean): LiveLatency {
		if (isMoving || !this.#lastFrame) this.#lastFrame = { date: playingDate, latency, at: now };
		const { date, ...frame } = this.#lastFrame;
		const frameDate = playingDate ?? date;
		if (frameDate !== null && this.#isClockPlausible)
			return { seconds: Math.max(0, (now - frameDate) / 1_000), basis: 'clock' };
		return { seconds: frame.latency + (now - frame.at) / 1_000, basis: 'playlist' };
	}

	/** Whether the programme dates of the playlist can be dates of now. */
	get isClockPlausible(): boolean {
		return this.#isClockPlausible;
	}

	reset(): void {
		this.#isClockPlausible = true;
		this.#lastFrame = null;
	}
}
