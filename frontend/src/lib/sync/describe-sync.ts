import { t } from '$lib/i18n/texts';
import { decimal } from '$lib/i18n/number';
import { IN_STEP_MS } from './wall-clock';
import type { SyncView } from './wall-sync.svelte';

/** "+0.3 s", "−2.5 s", "0 s". */
export function signedSeconds(seconds: number): string {
	if (Math.abs(seconds) < 0.05) return '0 s';
	return `${seconds > 0 ? '+' : '−'}${decimal(Math.abs(seconds))} s`;
}

/** How the tiles stand to each other, in a few words; `feedOf` names a tile by its stream. */
export function describeSync(
	{ standings, lateness, undated, spread }: Pick<SyncView, 'standings' | 'lateness' | 'undated' | 'spread'>,
	together: boolean,
	feedOf: (tileId: string) => string,
): string {
	if (!together) return t('eachOnItsOwn');
	const late = [...standings].find(([, standing]) => standing === 'out-of-reach')?.[0];
	if (late !== undefined) {
		const seconds = (lateness.get(late) ?? 0) / 1_000;
		const values = { feed: feedOf(late), count: Math.round(Math.abs(seconds)) };
		return seconds > 0 ? t('feedLate', values) : t('feedEarly', values);
	}
	if ([...standings.values()].includes('adjusting') && spread >= IN_STEP_MS)
		return t('adjusting', { seconds: decimal(spread / 1_000) });
	const [firstUndated] = undated;
	if (firstUndated !== undefined) return t('byHand', { feed: feedOf(firstUndated) });
	return t('inStep');
}
