import { serverClock } from '$lib/time/clock';
import type { Bootstrap } from './documents';

/** Reads the bootstrap document the edge wrote into the shell, if it did, and sets the clock by it. */
export function inlined(doc: Document = document): Bootstrap | null {
	const script = doc.getElementById('bootstrap');
	if (!script?.textContent) return null;
	const now = Date.parse(script.dataset['now'] ?? '');
	if (!Number.isNaN(now)) serverClock.set(now - shellArrived());
	try {
		return JSON.parse(script.textContent) as Bootstrap;
	} catch {
		return null;
	}
}

/** When the shell's first byte came in: the moment `data-now` speaks of. */
function shellArrived(): number {
	const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
	return navigation ? performance.timeOrigin + navigation.responseStart : Date.now();
}
