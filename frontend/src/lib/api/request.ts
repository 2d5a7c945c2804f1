import { serverClock } from '$lib/time/clock';
import type { Problem } from './documents';

const PATIENCE = 8_000;

/** Why a document did not arrive, in words a viewer can read. */
export class RequestError extends Error {
	constructor(
		message: string,
		readonly status: number | null,
		/** False when nothing came back from the edge: no network, no edge, or a gateway that found none. */
		readonly answered: boolean,
	) {
		super(message);
		this.name = 'RequestError';
	}
}

/** What a gateway in front of an edge says when the edge does not answer it. */
const GATEWAY_ERRORS = [502, 503, 504];

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
		throw new RequestError(
			late ? 'The edge took too long to answer' : 'The edge does not answer',
			null,
			false,
		);
	}
	serverClock.observe(answer.headers.get('date'), sent, Date.now());

	if (!answer.ok) {
		const answered = isProblem(answer) || !GATEWAY_ERRORS.includes(answer.status);
		throw new RequestError(await explain(answer), answer.status, answered);
	}
	// An edge in front of us may answer unknown paths with the page itself.
	if (!answer.headers.get('content-type')?.includes('json')) {
		throw new RequestError(`${path} is not served by this edge`, answer.status, true);
	}
	try {
		return (await answer.json()) as T;
	} catch {
		throw new RequestError(`${path} answered with something that is not JSON`, answer.status, true);
	}
}

async function explain(answer: Response): Promise<string> {
	const fallback = `The edge answered ${answer.status}`;
	if (!isProblem(answer)) return fallback;
	const problem = (await answer.json().catch(() => null)) as Problem | null;
	return problem?.detail ?? problem?.title ?? fallback;
}

function isProblem(answer: Response): boolean {
	return answer.headers.get('content-type')?.includes('problem+json') ?? false;
}
