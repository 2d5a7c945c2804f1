import { inlined } from './bootstrap';
import type { Bootstrap, Extractors, Schedule, Status, Streams } from './documents';
import { LiveDocument } from './live-document.svelte';

/** Every document the page reads, in one place; routes load them, components only show them. */
export const edge = {
	bootstrap: new LiveDocument<Bootstrap>('/api/bootstrap', { every: 30_000 }),
	schedule: new LiveDocument<Schedule>('/api/schedule', { every: 60_000, keepAs: 'pitwall:schedule' }),
	streams: new LiveDocument<Streams>('/api/streams', { every: 10_000, probe: true }),
	extractors: new LiveDocument<Extractors>('/api/extractors', { every: 10_000 }),
	status: new LiveDocument<Status>('/api/status', { every: 10_000 }),
};

let started: Promise<void> | null = null;

/** The bootstrap document, from the shell when the edge inlined it, else by request. It also seeds the streams. */
export function start(): Promise<void> {
	started ??= (async () => {
		const document = inlined();
		if (document) edge.bootstrap.offer(document);
		else await edge.bootstrap.ready();
		const seed = edge.bootstrap.value;
		if (seed && !edge.streams.value) edge.streams.offer(seed);
	})();
	return started;
}
