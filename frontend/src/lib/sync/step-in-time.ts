import { t } from '$lib/i18n/texts';
import { notices } from '$lib/ui/notices.svelte';
import type { WallSync } from './wall-sync.svelte';

/** A step may end at the start of a segment, or between two steps of the clock. */
const TOLERANCE_SECONDS = 1.5;

/** Moves the wall in time. Says by how much where no button does, and always where less is held than was asked for. */
export function stepInTime(
	sync: Pick<WallSync, 'seekBy'>,
	seconds: number,
	{ by }: { by: 'key' | 'finger' | 'button' },
): void {
	const missing = sync.seekBy(seconds) - seconds;
	const values = { seconds: Math.abs(seconds) };
	if (missing > TOLERANCE_SECONDS) notices.add(t('asFarBack'), null, 'step');
	else if (by !== 'button')
		notices.add(seconds < 0 ? t('stepBack', values) : t('stepOn', values), null, 'step');
}
