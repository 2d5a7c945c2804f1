/** Why nothing comes from the edge. */
export type Outage =
	/** This device has no network. */
	| 'offline'
	/** It has one again, over which nothing has come yet. */
	| 'returning'
	/** The network is there and the edge does not answer. */
	| 'silent';

/** The same for a viewer. */
export const OUTAGES: Record<Outage, string> = {
	offline: 'You are offline',
	returning: 'You are online again',
	silent: 'The edge does not answer',
};

/** Doubts closer together than this are one. */
const DOUBT_EVERY = 10_000;

/**
 * Whether the edge can be reached from here, learnt from every document and every player of the page, so that
 * the viewer's own lost network is never told as a fault of the sources.
 *
 * Events: `network` when the browser says that it came or went; `answered` when the edge is heard again after
 * silence; `doubt` when media stopped coming.
 */
export class Connection extends EventTarget {
	#online = $state(true);
	#unanswered = $state(false);
	/** What went unanswered was asked over a network that was there. */
	#silent = $state(false);
	#doubtedAt = Number.NEGATIVE_INFINITY;

	/** Null while the edge answers: a browser that believes to be offline may still reach an edge nearby. */
	readonly outage: Outage | null = $derived.by(() => {
		if (!this.#unanswered) return null;
		if (!this.#online) return 'offline';
		return this.#silent ? 'silent' : 'returning';
	});

	/** Listens to what the browser says of the network. */
	listen(target: EventTarget, isOnline: () => boolean): void {
		const look = () => {
			this.#online = isOnline();
			this.#silent = false;
			this.dispatchEvent(new Event('network'));
		};
		this.#online = isOnline();
		target.addEventListener('online', look);
		target.addEventListener('offline', look);
	}

	/** Something came from the edge: a document, or media after it had stopped. */
	answered(): void {
		if (!this.#unanswered) return;
		this.#unanswered = false;
		this.dispatchEvent(new Event('answered'));
	}

	/** A document was asked for and nothing came back. */
	unanswered(): void {
		this.#unanswered = true;
		this.#silent = this.#online;
	}

	/** A player got no answer for media; a document will tell whether that is the edge or the stream. */
	doubt(now = Date.now()): void {
		if (this.#unanswered || now - this.#doubtedAt < DOUBT_EVERY) return;
		this.#doubtedAt = now;
		this.dispatchEvent(new Event('doubt'));
	}
}

export const connection = new Connection();
if (typeof window !== 'undefined') connection.listen(window, () => navigator.onLine);
