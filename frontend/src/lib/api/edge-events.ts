import { base } from '$app/paths';
import type { Session } from './documents';
import { connection } from './connection.svelte';

/** A change that the edge tells of; what it is now stands in the documents. */
export interface EdgeEvents {
	session: Pick<Session, 'id' | 'name' | 'status' | 'start'> | null;
	'source-died': { stream: string; source: string };
	switched: { stream: string; from: string | null; to: string | null };
	map: { version: number };
}

type Handlers = { [Kind in keyof EdgeEvents]?: (data: EdgeEvents[Kind]) => void };

const RECONNECT_AFTER_MS = 30_000;

/**
 * Listens to `/api/events` while the page is visible, until the returned function is called. Nothing depends on these
 * events: they only bring sooner what the documents say at their next poll. A refused connection is tried again after
 * half a minute, and when the edge answers again.
 */
export function followEdgeEvents(handlers: Handlers): () => void {
	let source: EventSource | null = null;
	let timer: ReturnType<typeof setTimeout> | undefined;
	const close = () => {
		clearTimeout(timer);
		source?.close();
		source = null;
	};
	const open = () => {
		close();
		if (document.visibilityState === 'hidden') return;
		source = new EventSource(`${base}/api/events`);
		for (const [kind, handler] of Object.entries(handlers))
			source.addEventListener(kind, ({ data }) => handler(JSON.parse(data as string) as never));
		// The browser would try again every few seconds, each page by itself.
		source.addEventListener('error', () => {
			close();
			timer = setTimeout(open, RECONNECT_AFTER_MS * (0.75 + Math.random() / 2));
		});
	};
	open();
	document.addEventListener('visibilitychange', open);
	connection.addEventListener('reconnected', open);
	return () => {
		close();
		document.removeEventListener('visibilitychange', open);
		connection.removeEventListener('reconnected', open);
	};
}
