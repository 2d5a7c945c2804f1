import { untrack } from 'svelte';
import { connection } from './connection.svelte';
import { Poll } from './poll';
import { RequestError, fetchDocument } from './request';
import { untilVisible } from './visibility';

interface LiveDocumentOptions {
	intervalMs: number;
	/** The localStorage key under which the last good value is kept across visits, for when the edge is down. */
	storageKey?: string;
	/** Whether the document is requested at once when media stops coming, to learn whether the edge still answers. */
	refetchOnMediaLoss?: boolean;
}

interface StoredDocument<T> {
	at: number;
	value: T;
}

/**
 * A document of the edge that is polled while a component follows it. The last good value is kept when a request
 * fails; `error` then says why the value is no longer fresh.
 */
export class LiveDocument<T> {
	value = $state.raw<T | null>(null);
	error = $state.raw<RequestError | null>(null);
	/** When `value` arrived (milliseconds since the epoch, by this machine's clock). */
	receivedAt = $state<number | null>(null);
	/** The version of the map that the edge made its last answer from. */
	mapVersion = $state<number | null>(null);
	loading = $state(false);

	#followers = 0;
	readonly #poll: Poll;
	readonly #path: string;
	readonly #storageKey: string | undefined;
	readonly #refetchOnMediaLoss: boolean;

	constructor(path: string, { intervalMs, storageKey, refetchOnMediaLoss = false }: LiveDocumentOptions) {
		this.#path = path;
		this.#storageKey = storageKey;
		this.#refetchOnMediaLoss = refetchOnMediaLoss;
		this.#poll = new Poll({ intervalMs, task: () => this.#fetch() });
	}

	/** Takes a value that came another way: inlined in the shell, or as part of another document. */
	accept(value: T): void {
		this.value = value;
		this.receivedAt = Date.now();
		this.error = null;
	}

	/**
	 * Makes sure that one request was made, once the page is visible, unless there is a value already. Resolves also
	 * when the request fails: `value` and `error` hold the result.
	 */
	async ready(): Promise<void> {
		await untilVisible();
		if (!this.value) await this.refresh();
	}

	/** Requests the document now. Never rejects: `error` holds the failure. */
	refresh = async (): Promise<void> => {
		await this.#poll.runNow();
	};

	/**
	 * Polls until the returned function is called. Several followers share one poll. The body is untracked: an
	 * effect that follows would otherwise depend on the value, and every answer would restart the effect and the poll.
	 */
	follow(): () => void {
		untrack(() => this.#addFollower());
		return () => untrack(() => this.#removeFollower());
	}

	#addFollower(): void {
		this.#followers += 1;
		if (this.#followers > 1) return;
		this.#poll.start({ delayFirst: this.receivedAt !== null && Date.now() - this.receivedAt < 2_000 });
		document.addEventListener('visibilitychange', this.#catchUp);
		connection.addEventListener('network-change', this.#expedite);
		connection.addEventListener('reconnected', this.#expediteIfFailed);
		if (this.#refetchOnMediaLoss) connection.addEventListener('media-loss', this.#expedite);
	}

	#removeFollower(): void {
		this.#followers -= 1;
		if (this.#followers > 0) return;
		this.#poll.stop();
		document.removeEventListener('visibilitychange', this.#catchUp);
		connection.removeEventListener('network-change', this.#expedite);
		connection.removeEventListener('reconnected', this.#expediteIfFailed);
		connection.removeEventListener('media-loss', this.#expedite);
	}

	#catchUp = () => this.#poll.catchUp();
	#expedite = () => this.#poll.expedite();
	#expediteIfFailed = () => {
		if (this.error) this.#poll.expedite();
	};

	async #fetch(): Promise<void> {
		this.loading = true;
		try {
			const { value, mapVersion } = await fetchDocument<T>(this.#path);
			this.accept(value);
			this.mapVersion = mapVersion;
			this.#store();
			connection.reportResponse();
		} catch (cause) {
			if (!this.value) this.#restore();
			const error = cause instanceof RequestError ? cause : new RequestError(String(cause), null, true);
			this.error = error;
			if (error.answered) connection.reportResponse();
			else connection.reportNoResponse();
			throw cause;
		} finally {
			this.loading = false;
		}
	}

	#store(): void {
		if (!this.#storageKey) return;
		try {
			localStorage.setItem(this.#storageKey, JSON.stringify({ at: Date.now(), value: this.value }));
		} catch {
			// Storage is full or forbidden (private windows): the page works without a stored value.
		}
	}

	#restore(): void {
		if (!this.#storageKey) return;
		try {
			const stored = JSON.parse(localStorage.getItem(this.#storageKey) ?? 'null') as StoredDocument<T> | null;
			if (!stored) return;
			this.value = stored.value;
			this.receivedAt = stored.at;
		} catch {
			// Storage is forbidden or holds something else: the page works without a stored value.
		}
	}
}
