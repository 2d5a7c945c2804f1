export interface PollOptions {
	/** Does one round; rejects when it failed. */
	task: () => Promise<unknown>;
	/** Milliseconds between rounds while all is well. */
	every: number;
	/** Share of the interval added at random, so that a thousand pages do not ask in step. */
	jitter?: number;
	/** Longest pause after repeated failure. */
	longest?: number;
	visible?: () => boolean;
	random?: () => number;
}

/** Rounds asked for ahead of their time begin at least this long after the one before. */
export const HURRY_GAP = 5_000;

/** Repeats a task: jittered, slower while it fails, silent while the page is hidden. */
export class Poll {
	failures = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#round: Promise<void> | null = null;
	#stopped = true;
	#dueAt = 0;
	#beganAt = Number.NEGATIVE_INFINITY;
	readonly #options: Required<PollOptions>;

	constructor(options: PollOptions) {
		this.#options = {
			jitter: 0.2,
			longest: 60_000,
			visible: () => typeof document === 'undefined' || document.visibilityState === 'visible',
			random: Math.random,
			...options,
		};
	}

	/** When the next round is due (this machine's clock), or null while none is planned. */
	get next(): number | null {
		return this.#timer === undefined ? null : this.#dueAt;
	}

	/** Starts; the first round is at once, or after one interval with `later`. */
	start({ later = false } = {}): void {
		if (!this.#stopped) return;
		this.#stopped = false;
		if (later) this.#plan();
		else if (this.#options.visible()) void this.now();
		// A page opened out of sight asks when it is looked at.
		else this.#dueAt = Date.now();
	}

	stop(): void {
		this.#stopped = true;
		this.#clear();
	}

	/** The page came back into view: catch up if a round was missed. */
	wake(): void {
		if (!this.#stopped && !this.#round && this.#options.visible() && Date.now() >= this.#dueAt)
			void this.now();
	}

	/** The network or the edge may be back, or gone: the next round need not wait out its pause. */
	hurry(): void {
		if (this.#stopped || this.#round) return;
		const at = Math.max(Date.now(), this.#beganAt + HURRY_GAP);
		if (at < this.#dueAt) this.#planAt(at);
	}

	/** One round now, or the one already under way. Never rejects. */
	now(): Promise<void> {
		this.#round ??= this.#run();
		return this.#round;
	}

	async #run(): Promise<void> {
		this.#clear();
		this.#beganAt = Date.now();
		try {
			await this.#options.task();
			this.failures = 0;
		} catch {
			this.failures += 1;
		} finally {
			this.#round = null;
			if (!this.#stopped) this.#plan();
		}
	}

	#plan(): void {
		const { every, jitter, longest, random } = this.#options;
		const base = Math.max(every, Math.min(longest, every * 2 ** this.failures));
		this.#planAt(Date.now() + base * (1 + jitter * random()));
	}

	/** A poll has one timer: a second one beside it would begin rounds, and timers, of its own. */
	#planAt(at: number): void {
		this.#clear();
		this.#dueAt = at;
		this.#timer = setTimeout(() => {
			this.#timer = undefined;
			// Hidden: stay due. wake() runs the round when someone looks.
			if (this.#options.visible()) void this.now();
		}, at - Date.now());
	}

	#clear(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
	}
}
