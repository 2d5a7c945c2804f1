import type { Stream } from '$lib/api/documents';
import { clockTime, dayOf, nearDay } from '$lib/time/format';

/** "Down since 01:52:28: cannot be connected to", with the day where it is another one; null while it is not down. */
export function outage(
	{ health, down_since, reason }: Stream,
	now: number,
	zone: string,
	locale?: string,
): string | null {
	if (health !== 'down') return null;
	const since = Date.parse(down_since ?? '');
	const because = reason ? `: ${reason}` : '';
	if (Number.isNaN(since)) return `Down${because}`;
	const day = nearDay(since, now, zone) === 'Today' ? '' : `${dayOf(since, zone, locale)}, `;
	return `Down since ${day}${clockTime(since, zone, locale)}${because}`;
}
