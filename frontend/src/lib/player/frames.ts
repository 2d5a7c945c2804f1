/** Without a new picture for this long the picture stands still. */
export const FRAMES_STOP_AFTER = 1_000;

type Callback = (now: number, frame: { mediaTime: number }) => void;
type Video = Pick<HTMLVideoElement, 'currentTime' | 'videoWidth'> & {
	requestVideoFrameCallback?: (callback: Callback) => number;
};

/** Watches whether pictures really reach the screen: a playlist may grow, and a clock run, above a frozen one. */
export class FrameWatch {
	readonly #video: Video;
	#lastAt: number | null = null;
	/** Time between the last two pictures: a slide show is not a stall. */
	#interval = 0;
	#mediaTime = 0;
	#position = -1;
	#wasHidden = false;
	#stopped = false;

	constructor(video: Video) {
		this.#video = video;
		this.#wait();
	}

	/** Whether there was any picture since the last reset. */
	get seen(): boolean {
		return this.#lastAt !== null;
	}

	/**
	 * One look, every half second. Where the browser reports no pictures (it draws none while the page is hidden,
	 * sound has none, and old browsers do not tell) a playhead that moves stands for them.
	 */
	beat(now: number, hidden: boolean): void {
		const { currentTime, videoWidth, requestVideoFrameCallback } = this.#video;
		const moved = this.#position >= 0 && currentTime !== this.#position;
		this.#position = currentTime;
		const blind = hidden || this.#wasHidden || !requestVideoFrameCallback || videoWidth === 0;
		this.#wasHidden = hidden;
		if (blind && moved) this.#lastAt = now;
	}

	/** Milliseconds since the last picture; 0 while they come. */
	stillFor(now: number): number {
		if (this.#lastAt === null) return 0;
		const still = now - this.#lastAt;
		return still > Math.max(FRAMES_STOP_AFTER, 1.5 * this.#interval) ? still : 0;
	}

	/** Another stream: its first picture is still to come. */
	reset(): void {
		this.#lastAt = null;
		this.#position = -1;
		this.#interval = 0;
	}

	stop(): void {
		this.#stopped = true;
	}

	#wait(): void {
		this.#video.requestVideoFrameCallback?.((_, { mediaTime }) => {
			if (this.#stopped) return;
			const now = Date.now();
			// After a stall much time passed, after a jump much media did; a slow picture takes both.
			const passed = this.#lastAt === null ? 0 : now - this.#lastAt;
			this.#interval = Math.max(0, Math.min(passed, (mediaTime - this.#mediaTime) * 1_000, 10_000));
			this.#mediaTime = mediaTime;
			this.#lastAt = now;
			this.#wait();
		});
	}
}
