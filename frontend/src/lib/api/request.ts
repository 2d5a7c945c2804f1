import { t } from '$lib/i18n/texts';
import { base } from '$app/paths';
import { serverClock } from '$lib/time/clock';
import type { Problem } from './documents';

const REQUEST_TIMEOUT_MS = 8_000;

/** Why a document did not arrive; `message` is meant for viewers. */
export class RequestError extends Error {
	constructor(
		message: string,
		readonly status: number | null,
		/** False if the edge sent no response: no network, no edge, or a gateway that could not reach the edge. */
		readonly answered: boolean,
	) {
		super(message);
		this.name = 'RequestError';
	}
}

/** Status codes with which a gateway reports that the edge behind it does not answer. */
const GATEWAY_ERROR_STATUSES = [502, 503, 504];

export interface FetchedDocument<T> {
	value: T;
	/** The version of the map that the edge answered from, also when the document is as it was in the browser's cache. */
	mapVersion: number | null;
}

/**
 * Fetches one document by its path below Pitwall's root, and updates `serverClock` from the response's Date field. The edge has the browser ask with
 * the entity tag of the document in its cache (`Cache-Control: no-cache`), and sends only what has changed.
 */
export async function fetchDocument<T>(
	path: string,
	fetcher: typeof fetch = fetch,
): Promise<FetchedDocument<T>> {
	const sent = Date.now();
	let response: Response;
	try {
		response = await fetcher(base + path, {
			headers: { accept: 'application/json' },
			signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
		});
	} catch (cause) {
		const timedOut = cause instanceof DOMException && cause.name === 'TimeoutError';
		throw new RequestError(timedOut ? t('edgeTooSlow') : t('silent'), null, false);
	}
	serverClock.observe(response.headers.get('date'), sent, Date.now());

	if (!response.ok) {
		const answered = isProblem(response) || !GATEWAY_ERROR_STATUSES.includes(response.status);
		throw new RequestError(await errorMessage(response), response.status, answered);
	}
	// An edge may answer a path that it does not know with the page's HTML and status 200.
	if (!response.headers.get('content-type')?.includes('json')) {
		throw new RequestError(t('notServed', { path }), response.status, true);
	}
	try {
		const mapVersion = Number(response.headers.get('pitwall-map-version')) || null;
		return { value: (await response.json()) as T, mapVersion };
	} catch {
		throw new RequestError(t('notJson', { path }), response.status, true);
	}
}

async function errorMessage(response: Response): Promise<string> {
	const fallback = t('edgeAnswered', { status: response.status });
	if (!isProblem(response)) return fallback;
	const problem = (await response.json().catch(() => null)) as Problem | null;
	return problem?.detail ?? problem?.title ?? fallback;
}

function isProblem(response: Response): boolean {
	return response.headers.get('content-type')?.includes('problem+json') ?? false;
}
