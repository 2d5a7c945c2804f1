import { untrack } from 'svelte';
import { connection } from './connection.svelte';
import { Poll } from './poll';
import { RequestError, getJson } from './request';
import { untilVisible } from './visibility';

interface Options {
	every: number;
	/** Keep the last good answer across visits under this name, for when the edge is down. */
	keepAs?: string;
	/** Asked at once when media stops coming, to learn whether the edge still answers. */
	probe?: boolean;
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
	readonly #probe: boolean;

	constructor(path: string, { every, keepAs, probe = false }: Options) {
		this.#path = path;
		this.#keepAs = keepAs;
		this.#probe = probe;
		this.#poll = new Poll({ every, task: () => this.#fetch() });
	}

	/** Takes an answer that came another way: inlined in the shell, or part of another document. */
	offer(value: T): void {
		this.value = value;
		this.receivedAt = Date.now();
		this.error = null;
	}

	/**
	 * First answer: what is here, else one request, once somebody looks. Resolves either way; look at
	 * `value` and `error`.
	 */
	async ready(): Promise<void> {
		await untilVisible();
		if (!this.value) await this.refresh();
	}

	/** Asks now. Never rejects. */
	refresh = async (): Promise<void> => {
		await this.#poll.now();
	};

	/**
	 * Polls until the returned function is called. Several followers share one poll. An effect that follows
	 * must not depend on what the poll brings, or every answer would run the effect, and start a poll, anew.
	 */
	follow(): () => void {
		untrack(() => this.#join());
		return () => untrack(() => this.#leave());
	}

	#join(): void {
		this.#followers += 1;
		if (this.#followers > 1) return;
		this.#poll.start({ later: this.receivedAt !== null && Date.now() - this.receivedAt < 2_000 });
		document.addEventListener('visibilitychange', this.#wake);
		connection.addEventListener('network', this.#hurry);
		connection.addEventListener('answered', this.#mend);
		if (this.#probe) connection.addEventListener('doubt', this.#hurry);
	}

	#leave(): void {
		this.#followers -= 1;
		if (this.#followers > 0) return;
		this.#poll.stop();
		document.removeEventListener('visibilitychange', this.#wake);
		connection.removeEventListener('network', this.#hurry);
		connection.removeEventListener('answered', this.#mend);
		connection.removeEventListener('doubt', this.#hurry);
	}

	#wake = () => this.#poll.wake();
	#hurry = () => this.#poll.hurry();
	#mend = () => {
		if (this.error) this.#poll.hurry();
	};

	async #fetch(): Promise<void> {
		this.loading = true;
		try {
			this.offer(await getJson<T>(this.#path));
			this.#keep();
			connection.answered();
		} catch (cause) {
			if (!this.value) this.#recall();
			const error = cause instanceof RequestError ? cause : new RequestError(String(cause), null, true);
			this.error = error;
			if (error.answered) connection.answered();
			else connection.unanswered();
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
