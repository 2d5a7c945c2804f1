/** Why the edge cannot be reached; the text of this name says it to a viewer. */
export type Outage =
	/** The browser reports that this device has no network. */
	| 'offline'
	/** The device has a network again, but no request has been answered over it yet. */
	| 'returning'
	/** The device has a network and the edge does not answer. */
	| 'silent';

/** Further losses of media within this time cause no further `media-loss` event. */
const MEDIA_LOSS_MIN_INTERVAL_MS = 10_000;

/**
 * Whether the edge can be reached, learnt from the requests of all documents and players of the page, so that the
 * page does not blame the sources when the viewer's own network is lost.
 *
 * Events: `network-change` when the browser goes online or offline; `reconnected` when the edge answers after
 * unanswered requests; `media-loss` when a player's request got no response.
 */
export class Connection extends EventTarget {
	#online = $state(true);
	#requestUnanswered = $state(false);
	/** Whether the unanswered request was sent while the browser was online. */
	#edgeSilent = $state(false);
	#mediaLossReportedAt = Number.NEGATIVE_INFINITY;

	/** Null while the edge answers, even if the browser reports offline: it may still reach an edge in its own network. */
	readonly outage: Outage | null = $derived.by(() => {
		if (!this.#requestUnanswered) return null;
		if (!this.#online) return 'offline';
		return this.#edgeSilent ? 'silent' : 'returning';
	});

	/** Follows the `online` and `offline` events of `target`, which is the window. */
	listenToNetwork(target: EventTarget, isOnline: () => boolean): void {
		const onNetworkChange = () => {
			this.#online = isOnline();
			this.#edgeSilent = false;
			this.dispatchEvent(new Event('network-change'));
		};
		this.#online = isOnline();
		target.addEventListener('online', onNetworkChange);
		target.addEventListener('offline', onNetworkChange);
	}

	/** To be called when a document arrived from the edge, or media after a failure. */
	reportResponse(): void {
		if (!this.#requestUnanswered) return;
		this.#requestUnanswered = false;
		this.dispatchEvent(new Event('reconnected'));
	}

	/** To be called when a request for a document got no response. */
	reportNoResponse(): void {
		this.#requestUnanswered = true;
		this.#edgeSilent = this.#online;
	}

	/** To be called when a request for media got no response; a document's next request shows whether the edge is gone. */
	reportMediaLoss(now = Date.now()): void {
		if (this.#requestUnanswered || now - this.#mediaLossReportedAt < MEDIA_LOSS_MIN_INTERVAL_MS) return;
		this.#mediaLossReportedAt = now;
		this.dispatchEvent(new Event('media-loss'));
	}
}

export const connection = new Connection();
if (typeof window !== 'undefined') connection.listenToNetwork(window, () => navigator.onLine);
