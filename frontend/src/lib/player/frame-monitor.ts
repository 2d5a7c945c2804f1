/** Without a new frame for this long the picture counts as frozen. */
export const FROZEN_AFTER_MS = 1_000;

type FrameCallback = (now: number, frame: { mediaTime: number }) => void;
type Video = Pick<HTMLVideoElement, 'currentTime' | 'videoWidth'> & {
	requestVideoFrameCallback?: (callback: FrameCallback) => number;
};

/** Watches whether frames reach the screen: the playlist may grow and `currentTime` may run while no frame comes. */
export class FrameMonitor {
	readonly #video: Video;
	#lastFrameAt: number | null = null;
	/** Milliseconds between the last two frames, so that a stream with a very low frame rate is not called frozen. */
	#frameIntervalMs = 0;
	#lastMediaTime = 0;
	#lastPosition = -1;
	#wasHidden = false;
	#stopped = false;

	constructor(video: Video) {
		this.#video = video;
		this.#awaitFrame();
	}

	/** Whether any frame was shown since the last reset. */
	get hasFrame(): boolean {
		return this.#lastFrameAt !== null;
	}

	/**
	 * To be called every half second. Where the browser reports no frames (the page is hidden, the stream is audio
	 * only, or `requestVideoFrameCallback` is missing) a moving playhead counts as a new frame.
	 */
	tick(now: number, hidden: boolean): void {
		const { currentTime, videoWidth, requestVideoFrameCallback } = this.#video;
		const playheadMoved = this.#lastPosition >= 0 && currentTime !== this.#lastPosition;
		this.#lastPosition = currentTime;
		const framesUnobservable = hidden || this.#wasHidden || !requestVideoFrameCallback || videoWidth === 0;
		this.#wasHidden = hidden;
		if (framesUnobservable && playheadMoved) this.#lastFrameAt = now;
	}

	/** Milliseconds since the last frame; 0 while frames come. */
	frozenForMs(now: number): number {
		if (this.#lastFrameAt === null) return 0;
		const sinceLastFrameMs = now - this.#lastFrameAt;
		return sinceLastFrameMs > Math.max(FROZEN_AFTER_MS, 1.5 * this.#frameIntervalMs) ? sinceLastFrameMs : 0;
	}

	/** Forgets all frames, before another stream is loaded. */
	reset(): void {
		this.#lastFrameAt = null;
		this.#lastPosition = -1;
		this.#frameIntervalMs = 0;
	}

	stop(): void {
		this.#stopped = true;
	}

	#awaitFrame(): void {
		this.#video.requestVideoFrameCallback?.((_, { mediaTime }) => {
			if (this.#stopped) return;
			const now = Date.now();
			// The interval is the smaller one of wall clock and media time: a stall lengthens only the wall clock and a
			// seek only the media time, and neither says anything about the frame rate.
			const elapsedMs = this.#lastFrameAt === null ? 0 : now - this.#lastFrameAt;
			this.#frameIntervalMs = Math.max(
				0,
				Math.min(elapsedMs, (mediaTime - this.#lastMediaTime) * 1_000, 10_000),
			);
			this.#lastMediaTime = mediaTime;
			this.#lastFrameAt = now;
			this.#awaitFrame();
		});
	}
}
