import { Poll } from './poll';
import { RequestError, getJson } from './request';

interface Options {
	every: number;
	/** Keep the last good answer across visits under this name, for when the edge is down. */
	keepAs?: string;
}

interface Kept<T> {
	at: number;
	value: T;
}

/**
 * A document of the edge that keeps itself fresh while somebody shows it. The last good answer stays;
 * `error` says that it is no longer fresh and why.
 */
export class LiveDocument<T> {
	value = $state.raw<T | null>(null);
	error = $state.raw<RequestError | null>(null);
	/** When `value` arrived, by this machine's clock. */
	receivedAt = $state<number | null>(null);
	loading = $state(false);

	#followers = 0;
	readonly #poll: Poll;
	readonly #path: string;
	readonly #keepAs: string | undefined;

	constructor(path: string, { every, keepAs }: Options) {
		this.#path = path;
		this.#keepAs = keepAs;
		this.#poll = new Poll({ every, task: () => this.#fetch() });
	}

	/** Takes an answer that came another way: inlined in the shell, or part of another document. */
	offer(value: T): void {
		this.value = value;
		this.receivedAt = Date.now();
		this.error = null;
	}

	/** First answer: what is here, else one request. Resolves either way; look at `value` and `error`. */
	async ready(): Promise<void> {
		if (!this.value) await this.refresh();
	}

	/** Asks now. Never rejects. */
	refresh = async (): Promise<void> => {
		await this.#poll.now();
	};

	/** Polls until the returned function is called. Several followers share one poll. */
	follow(): () => void {
		this.#followers += 1;
		if (this.#followers === 1) {
			this.#poll.start({ later: this.receivedAt !== null && Date.now() - this.receivedAt < 2_000 });
			document.addEventListener('visibilitychange', this.#wake);
			addEventListener('online', this.#wake);
		}
		return () => {
			this.#followers -= 1;
			if (this.#followers > 0) return;
			this.#poll.stop();
			document.removeEventListener('visibilitychange', this.#wake);
			removeEventListener('online', this.#wake);
		};
	}

	#wake = () => this.#poll.wake();

	async #fetch(): Promise<void> {
		this.loading = true;
		try {
			this.offer(await getJson<T>(this.#path));
			this.#keep();
		} catch (cause) {
			if (!this.value) this.#recall();
			this.error = cause instanceof RequestError ? cause : new RequestError(String(cause), null);
			throw cause;
		} finally {
			this.loading = false;
		}
	}

	#keep(): void {
		if (!this.#keepAs) return;
		try {
			localStorage.setItem(this.#keepAs, JSON.stringify({ at: Date.now(), value: this.value }));
		} catch {
			// Private windows and full storage: the page works without.
		}
	}

	#recall(): void {
		if (!this.#keepAs) return;
		try {
			const kept = JSON.parse(localStorage.getItem(this.#keepAs) ?? 'null') as Kept<T> | null;
			if (!kept) return;
			this.value = kept.value;
			this.receivedAt = kept.at;
		} catch {
			// As above.
		}
	}
}
