/** A stream's clock is believed when its newest media is this old, in milliseconds. */
const BELIEVED_FROM = -2_000;
const BELIEVED_TO = 300_000;

export interface Distance {
	/** Seconds from the picture to now. */
	seconds: number;
	/** Measured with the clock in the playlist, or with the playlist's end where it has none that is right. */
	by: 'clock' | 'playlist';
}

/** How far the picture is behind what happens, also while it stands still. */
export class LiveDistance {
	#clockIsRight = true;
	/** The picture on screen: its programme date, its distance from the playlist's end, and when that was so. */
	#picture: { date: number | null; latency: number; at: number } | null = null;

	/** A playlist has grown; `newest` is the date at its end. A clock that is far off tells nothing. */
	onGrowth(newest: number | null, now: number): void {
		if (newest === null) return;
		const age = now - newest;
		this.#clockIsRight = age >= BELIEVED_FROM && age <= BELIEVED_TO;
	}

	/**
	 * `playing` is the programme date of the picture, `latency` its distance from the playlist's end, which
	 * hls.js measures only while the picture moves: while it stands still the time that passes is added. A
	 * reload forgets the date; the picture that was seen last keeps it.
	 */
	at(now: number, playing: number | null, latency: number, moves: boolean): Distance {
		if (moves || !this.#picture) this.#picture = { date: playing, latency, at: now };
		const { date, ...picture } = this.#picture;
		const shown = playing ?? date;
		if (shown !== null && this.#clockIsRight)
			return { seconds: Math.max(0, (now - shown) / 1_000), by: 'clock' };
		return { seconds: picture.latency + (now - picture.at) / 1_000, by: 'playlist' };
	}

	reset(): void {
		this.#clockIsRight = true;
		this.#picture = null;
	}
}
