import type { Stream } from '$lib/api/documents';
import { formatClockTime, formatDay, relativeDay } from '$lib/time/format';

/**
 * "Down since 01:52:28: cannot be connected to", with the day unless it is today; null for a stream that is not
 * down.
 */
export function describeDowntime(
	{ health, down_since, reason }: Stream,
	now: number,
	zone: string,
	locale?: string,
): string | null {
	if (health !== 'down') return null;
	const since = Date.parse(down_since ?? '');
	const because = reason ? `: ${reason}` : '';
	if (Number.isNaN(since)) return `Down${because}`;
	const day = relativeDay(since, now, zone) === 'Today' ? '' : `${formatDay(since, zone, locale)}, `;
	return `Down since ${day}${formatClockTime(since, zone, locale)}${because}`;
}
