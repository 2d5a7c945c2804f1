import { CommandError, sendCommand, type CommandOptions, type CommandPath } from './command';

const TOKEN_KEY = 'pitwall:admin-token';

/** The operator at this page: the admin token, which stays in this tab, and what is done with it. */
class Operator {
	#token = $state<string | null>(readToken());
	/** Why the token was asked for again. */
	refusal = $state<string | null>(null);

	get isSignedIn(): boolean {
		return this.#token !== null;
	}

	/** Takes the token if the control plane does. */
	async signIn(token: string): Promise<void> {
		await sendCommand(token, '/api/viewers');
		this.#token = token;
		this.refusal = null;
		storeToken(token);
	}

	signOut(refusal: string | null = null): void {
		this.#token = null;
		this.refusal = refusal;
		storeToken(null);
	}

	/** Sends a command. A token that is no longer taken is asked for again. */
	send = async <T>(path: CommandPath, options?: CommandOptions): Promise<T> => {
		try {
			return await sendCommand<T>(this.#token ?? '', path, options);
		} catch (error) {
			if (error instanceof CommandError && error.isTokenRefused) this.signOut(error.message);
			throw error;
		}
	};
}

function readToken(): string | null {
	try {
		return sessionStorage.getItem(TOKEN_KEY);
	} catch {
		return null;
	}
}

function storeToken(token: string | null): void {
	try {
		if (token === null) sessionStorage.removeItem(TOKEN_KEY);
		else sessionStorage.setItem(TOKEN_KEY, token);
	} catch {
		// Storage is forbidden: the token is asked for again when the page is loaded again.
	}
}

export const operator = new Operator();

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
