import { serverClock } from '$lib/time/clock';
import type { Bootstrap } from './documents';

/** The bootstrap document that the edge inlined in the shell, or null. Sets `serverClock` from its `data-now`. */
export function readInlinedBootstrap(doc: Document = document): Bootstrap | null {
	const script = doc.getElementById('bootstrap');
	if (!script?.textContent) return null;
	const now = Date.parse(script.dataset['now'] ?? '');
	if (!Number.isNaN(now)) serverClock.set(now - shellReceivedAt());
	try {
		return JSON.parse(script.textContent) as Bootstrap;
	} catch {
		return null;
	}
}

/** When the shell's first byte arrived (milliseconds since the epoch): the moment that `data-now` belongs to. */
function shellReceivedAt(): number {
	const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
	return navigation ? performance.timeOrigin + navigation.responseStart : Date.now();
}
