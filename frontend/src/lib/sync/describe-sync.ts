import { IN_STEP_MS } from './wall-clock';
import type { SyncView } from './wall-sync.svelte';

/** "+0.3 s", "−2.5 s", "0 s". */
export function signedSeconds(seconds: number): string {
	if (Math.abs(seconds) < 0.05) return '0 s';
	return `${seconds > 0 ? '+' : '−'}${Math.abs(seconds).toFixed(1)} s`;
}

/** How the tiles stand to each other, in a few words; `feedOf` names a tile by its stream. */
export function describeSync(
	{ standings, lateness, undated, spread }: Pick<SyncView, 'standings' | 'lateness' | 'undated' | 'spread'>,
	together: boolean,
	feedOf: (tileId: string) => string,
): string {
	if (!together) return 'Each on its own';
	const late = [...standings].find(([, standing]) => standing === 'out-of-reach')?.[0];
	if (late !== undefined) {
		const seconds = (lateness.get(late) ?? 0) / 1_000;
		return `${feedOf(late)} is ${Math.abs(seconds).toFixed(0)} s ${seconds > 0 ? 'late' : 'early'}`;
	}
	if ([...standings.values()].includes('adjusting') && spread >= IN_STEP_MS)
		return `Adjusting, ${(spread / 1_000).toFixed(1)} s`;
	const [firstUndated] = undated;
	if (firstUndated !== undefined) return `${feedOf(firstUndated)} by hand`;
	return 'In step';
}
