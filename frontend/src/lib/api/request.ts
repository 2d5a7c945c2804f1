import { serverClock } from '$lib/time/clock';
import type { Problem } from './documents';

const PATIENCE = 8_000;

/** Why a document did not arrive, in words a viewer can read. */
export class RequestError extends Error {
	constructor(
		message: string,
		readonly status: number | null,
	) {
		super(message);
		this.name = 'RequestError';
	}
}

/** Fetches one document. Every answer also tells the server's time. */
export async function getJson<T>(path: string, fetcher: typeof fetch = fetch): Promise<T> {
	const sent = Date.now();
	let answer: Response;
	try {
		answer = await fetcher(path, {
			headers: { accept: 'application/json' },
			signal: AbortSignal.timeout(PATIENCE),
		});
	} catch (cause) {
		const late = cause instanceof DOMException && cause.name === 'TimeoutError';
		throw new RequestError(late ? 'The edge took too long to answer' : 'The edge cannot be reached', null);
	}
	serverClock.observe(answer.headers.get('date'), sent, Date.now());

	if (!answer.ok) throw new RequestError(await explain(answer), answer.status);
	// An edge in front of us may answer unknown paths with the page itself.
	if (!answer.headers.get('content-type')?.includes('json')) {
		throw new RequestError(`${path} is not served by this edge`, answer.status);
	}
	try {
		return (await answer.json()) as T;
	} catch {
		throw new RequestError(`${path} answered with something that is not JSON`, answer.status);
	}
}

async function explain(answer: Response): Promise<string> {
	const fallback = `The edge answered ${answer.status}`;
	if (!answer.headers.get('content-type')?.includes('problem+json')) return fallback;
	const problem = (await answer.json().catch(() => null)) as Problem | null;
	return problem?.detail ?? problem?.title ?? fallback;
}
