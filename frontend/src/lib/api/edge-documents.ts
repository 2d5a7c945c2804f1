import { readInlinedBootstrap } from './bootstrap';
import type { Activity, Bootstrap, Extractors, Schedule, Status, Streams } from './documents';
import { LiveDocument } from './live-document.svelte';

/** Every document of the edge that the page reads. Routes load the documents; components only show them. */
export const edgeDocuments = {
	bootstrap: new LiveDocument<Bootstrap>('/api/bootstrap', { intervalMs: 30_000 }),
	schedule: new LiveDocument<Schedule>('/api/schedule', {
		intervalMs: 60_000,
		storageKey: 'pitwall:schedule',
	}),
	streams: new LiveDocument<Streams>('/api/streams', { intervalMs: 10_000, refetchOnMediaLoss: true }),
	extractors: new LiveDocument<Extractors>('/api/extractors', { intervalMs: 10_000 }),
	status: new LiveDocument<Status>('/api/status', { intervalMs: 10_000 }),
	activity: new LiveDocument<Activity>('/api/activity', { intervalMs: 30_000 }),
};

let bootstrapLoaded: Promise<void> | null = null;

/**
 * Loads the bootstrap document once: from the shell if the edge inlined it, else by request. Its streams fill
 * the streams document until that arrives.
 */
export function loadBootstrap(): Promise<void> {
	bootstrapLoaded ??= (async () => {
		const inlined = readInlinedBootstrap();
		if (inlined) edgeDocuments.bootstrap.accept(inlined);
		else await edgeDocuments.bootstrap.ready();
		const bootstrap = edgeDocuments.bootstrap.value;
		if (bootstrap && !edgeDocuments.streams.value) edgeDocuments.streams.accept(bootstrap);
	})();
	return bootstrapLoaded;
}
