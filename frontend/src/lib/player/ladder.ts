/** What went wrong, in the ladder's terms. */
export type Fault =
	| { kind: 'media' }
	/** A manifest is loaded once, by loadSource; startLoad() does nothing for it. */
	| { kind: 'network'; manifest: boolean }
	/** The playlist stopped moving. hls.js calls it non-fatal, yet never asks again. */
	| { kind: 'frozen' }
	/** What plays is no longer there: another source has other renditions, and a new multivariant playlist. */
	| { kind: 'gone' }
	| { kind: 'stalled' }
	| { kind: 'other' };

/** What to do about it. `after` is in milliseconds. */
export type Step =
	| { do: 'recover-media' }
	| { do: 'start-load'; after: number }
	| { do: 'jump-to-live' }
	| { do: 'next-source'; after: number }
	/** Every source was tried: say so, and keep asking. */
	| { do: 'all-down'; after: number };

export const MEDIA_RECOVERY_EVERY = 5_000;
export const START_LOAD_AFTER = 1_000;
export const RETRY_ALL_EVERY = 5_000;
/** Media must flow this long before earlier failures are forgotten. */
export const FORGIVEN_AFTER = 10_000;

/**
 * Decides how a tile climbs back from a fault, one rung at a time. It holds no timers and touches no
 * player, so its whole behaviour is `fault in, step out`. The player is never destroyed for a fault.
 */
export class Ladder {
	#recoveredAt = Number.NEGATIVE_INFINITY;
	#faultAt = Number.NEGATIVE_INFINITY;
	#startedLoad = false;
	#jumped = false;
	#sourcesTried = 0;
	readonly #sources: number;

	/** `sources`: how many ways there are to reload. The edge picks the upstream, so for now there is one. */
	constructor(sources = 1) {
		this.#sources = sources;
	}

	fault(fault: Fault, now: number): Step {
		this.#faultAt = now;
		switch (fault.kind) {
			case 'media':
				if (now - this.#recoveredAt < MEDIA_RECOVERY_EVERY) return this.#next();
				this.#recoveredAt = now;
				return { do: 'recover-media' };
			case 'network':
				if (fault.manifest || this.#startedLoad) return this.#next();
				this.#startedLoad = true;
				return { do: 'start-load', after: START_LOAD_AFTER };
			case 'stalled':
				if (this.#jumped) return this.#next();
				this.#jumped = true;
				return { do: 'jump-to-live' };
			case 'gone':
				return this.#next(0);
			case 'frozen':
			case 'other':
				return this.#next();
		}
	}

	/** Media arrived: the small rungs are free again, and after a quiet while the large ones too. */
	flowing(now: number): void {
		this.#startedLoad = false;
		if (now - this.#faultAt < FORGIVEN_AFTER) return;
		this.#jumped = false;
		this.#sourcesTried = 0;
	}

	/** Another stream: nothing that happened before counts. */
	reset(): void {
		this.#recoveredAt = this.#faultAt = Number.NEGATIVE_INFINITY;
		this.#startedLoad = this.#jumped = false;
		this.#sourcesTried = 0;
	}

	#next(after = 500): Step {
		this.#startedLoad = this.#jumped = false;
		this.#sourcesTried += 1;
		if (this.#sourcesTried <= this.#sources) return { do: 'next-source', after };
		return { do: 'all-down', after: RETRY_ALL_EVERY };
	}
}
