/** What went wrong, as far as it matters for the choice of a `RecoveryStep`. */
export type PlaybackFault =
	| { kind: 'media' }
	/** A load failed. `manifest`: that of the multivariant playlist, which only loadSource() loads again. */
	| { kind: 'network'; manifest: boolean }
	/** A live playlist has no new segments. hls.js reports this as non-fatal and never reloads the playlist again. */
	| { kind: 'playlist-unchanged' }
	/** The media playlist is gone: the edge plays another source, which has its own renditions. */
	| { kind: 'rendition-gone' }
	| { kind: 'stalled' }
	| { kind: 'other' };

/** What the player has to do about a fault. */
export type RecoveryStep =
	| { action: 'recover-media' }
	| { action: 'start-load'; delayMs: number }
	| { action: 'jump-to-live' }
	| { action: 'reload'; delayMs: number }
	/** Every reload was tried: the tile says so, and reloads at this interval. */
	| { action: 'all-down'; delayMs: number };

export const MEDIA_RECOVERY_MIN_INTERVAL_MS = 5_000;
export const START_LOAD_DELAY_MS = 1_000;
export const ALL_DOWN_RETRY_INTERVAL_MS = 5_000;
/** Media must flow this long without a fault before earlier jumps and reloads are forgotten. */
export const FAULT_FORGET_AFTER_MS = 10_000;

/**
 * Decides how a player recovers from a fault: gentle steps first, then a reload, then all down. The policy holds
 * no timers and touches no player: a fault goes in, a step comes out. No step destroys the hls.js instance.
 */
export class RecoveryPolicy {
	#mediaRecoveredAt = Number.NEGATIVE_INFINITY;
	#lastFaultAt = Number.NEGATIVE_INFINITY;
	#startLoadTried = false;
	#jumpTried = false;
	#reloads = 0;
	readonly #maxReloads: number;

	/** `maxReloads`: reloads before all is down. One suffices, because the edge picks the source and not the page. */
	constructor(maxReloads = 1) {
		this.#maxReloads = maxReloads;
	}

	onFault(fault: PlaybackFault, now: number): RecoveryStep {
		this.#lastFaultAt = now;
		switch (fault.kind) {
			case 'media':
				if (now - this.#mediaRecoveredAt < MEDIA_RECOVERY_MIN_INTERVAL_MS) return this.#reloadOrGiveUp();
				this.#mediaRecoveredAt = now;
				return { action: 'recover-media' };
			case 'network':
				if (fault.manifest || this.#startLoadTried) return this.#reloadOrGiveUp();
				this.#startLoadTried = true;
				return { action: 'start-load', delayMs: START_LOAD_DELAY_MS };
			case 'stalled':
				if (this.#jumpTried) return this.#reloadOrGiveUp();
				this.#jumpTried = true;
				return { action: 'jump-to-live' };
			case 'rendition-gone':
				return this.#reloadOrGiveUp(0);
			case 'playlist-unchanged':
			case 'other':
				return this.#reloadOrGiveUp();
		}
	}

	/** Media arrived: startLoad is available again, and after `FAULT_FORGET_AFTER_MS` the other steps too. */
	onMediaFlowing(now: number): void {
		this.#startLoadTried = false;
		if (now - this.#lastFaultAt < FAULT_FORGET_AFTER_MS) return;
		this.#jumpTried = false;
		this.#reloads = 0;
	}

	/** Forgets all faults, before another stream is loaded or when the viewer asks for a retry. */
	reset(): void {
		this.#mediaRecoveredAt = this.#lastFaultAt = Number.NEGATIVE_INFINITY;
		this.#startLoadTried = this.#jumpTried = false;
		this.#reloads = 0;
	}

	#reloadOrGiveUp(delayMs = 500): RecoveryStep {
		this.#startLoadTried = this.#jumpTried = false;
		this.#reloads += 1;
		if (this.#reloads <= this.#maxReloads) return { action: 'reload', delayMs };
		return { action: 'all-down', delayMs: ALL_DOWN_RETRY_INTERVAL_MS };
	}
}
