import { base } from '$app/paths';
import type { Problem } from '$lib/api/documents';
import { t } from './texts';

/** Longer than the edge waits for a control plane. */
const COMMAND_TIMEOUT_MS = 15_000;

/** Why a command was not carried out; `message` is meant for the operator. */
export class CommandError extends Error {
	constructor(
		message: string,
		/** Null if nothing answered. */
		readonly status: number | null,
		/** The last part of the problem's type, such as `file-changed`; empty if the answer had none. */
		readonly problem: string,
	) {
		super(message);
		this.name = 'CommandError';
	}

	/** Whether the token is the reason. */
	get isTokenRefused(): boolean {
		return this.problem === 'admin-token-missing' || this.problem === 'admin-token-invalid';
	}
}

/** A path below `/api/`, so that the token never leaves for anything else. */
export type CommandPath = `/api/${string}`;

export interface CommandOptions {
	method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
	body?: unknown;
	/** The version of the file that is changed; null for a file that is to be a new one. */
	version?: string | null;
}

/** Sends one command with the admin token to this page's own edge; resolves to its answer. */
export async function sendCommand<T>(
	token: string,
	path: CommandPath,
	{ method = 'GET', body, version }: CommandOptions = {},
	fetcher: typeof fetch = fetch,
): Promise<T> {
	const headers: Record<string, string> = { accept: 'application/json', authorization: `Bearer ${token}` };
	if (body !== undefined) headers['content-type'] = 'application/json';
	if (version === null) headers['if-none-match'] = '*';
	else if (version !== undefined) headers['if-match'] = `"${version}"`;
	let response: Response;
	try {
		response = await fetcher(base + path, {
			method,
			headers,
			...(body !== undefined && { body: JSON.stringify(body) }),
			cache: 'no-store',
			redirect: 'error',
			signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS),
		});
	} catch {
		throw new CommandError(t('edgeSilent'), null, '');
	}
	if (response.status === 204) return undefined as T;
	const answer: unknown = await response.json().catch(() => null);
	if (response.ok && answer !== null) return answer as T;
	const problem = answer as Problem | null;
	throw new CommandError(
		problem?.detail ?? t('edgeAnswered', { status: String(response.status) }),
		response.status,
		problem?.type?.split(':').at(-1) ?? '',
	);
}
