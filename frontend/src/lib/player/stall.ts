/** Playback that stands still this long is stalled. */
export const STALL_AFTER = 8_000;
/** A stream that has shown nothing yet may take longer: a slow line is not a dead one. */
export const START_PATIENCE = 30_000;
/** Beats further apart than this mean that the machine slept or the page was throttled. */
const SLEPT = 4_000;

export type Playhead = 'idle' | 'moving' | 'still' | 'stalled';

/** Watches the playhead once a second and says when it has stood still for too long. */
export class StallWatch {
	#position = -1;
	#stillSince = 0;
	#lastBeat = 0;
	#started = false;

	/** One beat. `expected`: should it be playing at all? After reporting `stalled` the wait starts anew. */
	beat(position: number, expected: boolean, now: number): Playhead {
		const slept = now - this.#lastBeat > SLEPT;
		const moved = position !== this.#position;
		const first = this.#position < 0;
		this.#lastBeat = now;
		this.#position = position;
		if (!expected || slept || moved) this.#stillSince = now;

		if (!expected || first) return 'idle';
		if (moved) {
			this.#started = true;
			return 'moving';
		}
		if (now - this.#stillSince < (this.#started ? STALL_AFTER : START_PATIENCE)) return 'still';
		this.#stillSince = now;
		return 'stalled';
	}

	/** A new source begins: patience again. */
	reset(): void {
		this.#position = -1;
		this.#started = false;
	}
}
