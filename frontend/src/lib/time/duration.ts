import { t } from '$lib/i18n/texts';

export interface ClockParts {
	days: number;
	hours: number;
	minutes: number;
	seconds: number;
}

/** Splits a duration for a countdown; a negative one yields all zeros. */
export function splitDuration(milliseconds: number): ClockParts {
	const total = Math.max(0, Math.ceil(milliseconds / 1_000));
	return {
		days: Math.floor(total / 86_400),
		hours: Math.floor(total / 3_600) % 24,
		minutes: Math.floor(total / 60) % 60,
		seconds: total % 60,
	};
}

/** "12 s", "3 min", "2 h 5 min", "4 days": a duration, rounded the more the longer it is. */
export function formatDuration(milliseconds: number): string {
	const seconds = Math.max(0, Math.round(milliseconds / 1_000));
	if (seconds < 90) return t('seconds', { count: seconds });
	const minutes = Math.round(seconds / 60);
	if (minutes < 60) return t('minutes', { count: minutes });
	const hours = Math.floor(minutes / 60);
	if (hours < 48)
		return minutes % 60 && hours < 6
			? t('hoursMinutes', { hours, minutes: minutes % 60 })
			: t('hours', { count: hours });
	return t('days', { count: Math.round(hours / 24) });
}

/** "12 s ago"; "never" for null, "unknown" for a text that is no timestamp. */
export function formatAge(at: string | number | null, now: number): string {
	if (at === null) return t('never');
	const moment = typeof at === 'number' ? at : Date.parse(at);
	return Number.isNaN(moment) ? t('unknown') : t('ago', { duration: formatDuration(now - moment) });
}
