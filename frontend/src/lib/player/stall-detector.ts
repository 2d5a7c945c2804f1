/** Playback whose playhead stands still this long is stalled. */
export const STALL_AFTER_MS = 8_000;
/** The limit before the playhead has moved for the first time: a slow connection may need this long to start. */
export const STARTUP_STALL_AFTER_MS = 30_000;
/** Ticks further apart than this mean that the machine slept or the browser throttled the page. */
const TICK_GAP_MAX_MS = 4_000;

export type PlayheadState = 'idle' | 'moving' | 'still' | 'stalled';

/** Reports when the playhead has stood still for too long although the stream should play. */
export class StallDetector {
	#lastPosition = -1;
	#stillSince = 0;
	#lastTickAt = 0;
	#hasMoved = false;

	/** To be called on a timer. After `stalled` was reported the limit has to pass again before the next report. */
	tick(position: number, shouldPlay: boolean, now: number): PlayheadState {
		const slept = now - this.#lastTickAt > TICK_GAP_MAX_MS;
		const moved = position !== this.#lastPosition;
		const isFirstTick = this.#lastPosition < 0;
		this.#lastTickAt = now;
		this.#lastPosition = position;
		if (!shouldPlay || slept || moved) this.#stillSince = now;

		if (!shouldPlay || isFirstTick) return 'idle';
		if (moved) {
			this.#hasMoved = true;
			return 'moving';
		}
		if (now - this.#stillSince < (this.#hasMoved ? STALL_AFTER_MS : STARTUP_STALL_AFTER_MS)) return 'still';
		this.#stillSince = now;
		return 'stalled';
	}

	/** Before a (re)load: the limit for the start applies again. */
	reset(): void {
		this.#lastPosition = -1;
		this.#hasMoved = false;
	}
}
