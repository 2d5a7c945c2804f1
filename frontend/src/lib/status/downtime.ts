import { t } from '$lib/i18n/texts';
import type { Stream } from '$lib/api/documents';
import { formatClockTime, formatDay, daysFrom } from '$lib/time/format';

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
	if (Number.isNaN(since)) return t('down') + because;
	const day = daysFrom(since, now, zone) === 0 ? '' : `${formatDay(since, zone, locale)}, `;
	return t('downSince', { time: day + formatClockTime(since, zone, locale) }) + because;
}
