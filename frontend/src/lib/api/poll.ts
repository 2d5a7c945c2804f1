export interface PollOptions {
	/** Runs one round; rejects if the round failed. */
	task: () => Promise<unknown>;
	/** Milliseconds between rounds while they succeed. */
	intervalMs: number;
	/** Share of the interval that is added at random, so that a thousand pages do not send their requests at once. */
	jitter?: number;
	/** Upper limit of the exponential backoff after failures, without jitter. */
	maxDelayMs?: number;
	isVisible?: () => boolean;
	random?: () => number;
}

/** An expedited round starts at least this long after the start of the last one. */
export const EXPEDITE_MIN_GAP_MS = 5_000;

/** Repeats a task with jitter, with exponential backoff while it fails, and not at all while the page is hidden. */
export class Poll {
	failures = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#round: Promise<void> | null = null;
	#stopped = true;
	#dueAt = 0;
	#roundStartedAt = Number.NEGATIVE_INFINITY;
	readonly #options: Required<PollOptions>;

	constructor(options: PollOptions) {
		this.#options = {
			jitter: 0.2,
			maxDelayMs: 60_000,
			isVisible: () => typeof document === 'undefined' || document.visibilityState === 'visible',
			random: Math.random,
			...options,
		};
	}

	/** When the next round is due (milliseconds since the epoch, this machine's clock), or null while none is scheduled. */
	get nextDueAt(): number | null {
		return this.#timer === undefined ? null : this.#dueAt;
	}

	/** Starts the poll: the first round runs at once, or after one interval with `delayFirst`. */
	start({ delayFirst = false } = {}): void {
		if (!this.#stopped) return;
		this.#stopped = false;
		if (delayFirst) this.#scheduleNext();
		else if (this.#options.isVisible()) void this.runNow();
		// A page that was opened in the background runs its first round when it becomes visible.
		else this.#dueAt = Date.now();
	}

	stop(): void {
		this.#stopped = true;
		this.#clearTimer();
	}

	/** To be called when the page becomes visible: runs the round that was due while the page was hidden. */
	catchUp(): void {
		if (!this.#stopped && !this.#round && this.#options.isVisible() && Date.now() >= this.#dueAt)
			void this.runNow();
	}

	/** Moves the next round forward, because the network or the edge may have come back or gone. */
	expedite(): void {
		if (this.#stopped || this.#round) return;
		const at = Math.max(Date.now(), this.#roundStartedAt + EXPEDITE_MIN_GAP_MS);
		if (at < this.#dueAt) this.#scheduleAt(at);
	}

	/** Runs a round now, or returns the one that is running. Never rejects. */
	runNow(): Promise<void> {
		this.#round ??= this.#runRound();
		return this.#round;
	}

	async #runRound(): Promise<void> {
		this.#clearTimer();
		this.#roundStartedAt = Date.now();
		try {
			await this.#options.task();
			this.failures = 0;
		} catch {
			this.failures += 1;
		} finally {
			this.#round = null;
			if (!this.#stopped) this.#scheduleNext();
		}
	}

	#scheduleNext(): void {
		const { intervalMs, jitter, maxDelayMs, random } = this.#options;
		const base = Math.max(intervalMs, Math.min(maxDelayMs, intervalMs * 2 ** this.failures));
		this.#scheduleAt(Date.now() + base * (1 + jitter * random()));
	}

	/** The old timer is cleared first: a second timer would schedule rounds of its own and double the requests. */
	#scheduleAt(at: number): void {
		this.#clearTimer();
		this.#dueAt = at;
		this.#timer = setTimeout(() => {
			this.#timer = undefined;
			// On a hidden page the round stays due until catchUp() runs it.
			if (this.#options.isVisible()) void this.runNow();
		}, at - Date.now());
	}

	#clearTimer(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
	}
}
