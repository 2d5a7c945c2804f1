/** Times in words. Every function takes an IANA time zone, so that no result depends on the machine's zone. */

import { language } from '$lib/i18n/language.svelte';

type Options = Intl.DateTimeFormatOptions;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(options: Options, locale = language.locale): Intl.DateTimeFormat {
	const key = `${locale}|${JSON.stringify(options)}`;
	let cached = formatters.get(key);
	if (!cached) formatters.set(key, (cached = new Intl.DateTimeFormat(locale, options)));
	return cached;
}

/** "17:00" or "5:00 PM", by locale. */
export function formatTimeOfDay(at: string | number, timeZone: string, locale?: string): string {
	return formatter({ timeStyle: 'short', timeZone }, locale).format(new Date(at));
}

/** "17:00:08". */
export function formatClockTime(at: number, timeZone: string, locale?: string): string {
	return formatter({ timeStyle: 'medium', timeZone }, locale).format(at);
}

/** "Sun 22 Nov". */
export function formatDay(at: string | number, timeZone: string, locale?: string): string {
	return formatter({ weekday: 'short', day: 'numeric', month: 'short', timeZone }, locale).format(
		new Date(at),
	);
}

/** A calendar date without a time ("2026-11-22") as "Sun 22 Nov": the same day in every time zone. */
export function formatCalendarDate(date: string, locale?: string): string {
	const at = Date.parse(`${date}T00:00:00Z`);
	return Number.isNaN(at) ? date : formatDay(at, 'UTC', locale);
}

/** "2026-11-22": the calendar day of a moment in a zone. Browsers differ in the order in which a locale writes a date. */
export function isoDay(at: string | number, timeZone: string): string {
	const parts = formatter(
		{ year: 'numeric', month: '2-digit', day: '2-digit', timeZone },
		'en-US',
	).formatToParts(new Date(at));
	const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((part) => part.type === type)?.value;
	return `${part('year')}-${part('month')}-${part('day')}`;
}

/** "20 – 22 Nov": from the first to the last of some calendar dates; null if there are none. */
export function formatDateRange(days: readonly string[], locale?: string): string | null {
	const moments = days.map((day) => Date.parse(`${day}T00:00:00Z`)).filter((at) => !Number.isNaN(at));
	if (moments.length === 0) return null;
	const months = formatter({ day: 'numeric', month: 'short', timeZone: 'UTC' }, locale);
	return months.formatRange(Math.min(...moments), Math.max(...moments));
}

/** "GMT+13" or "PST": the short name of a zone at a moment (it changes with daylight saving). */
export function zoneName(at: string | number, timeZone: string, locale?: string): string {
	const parts = formatter({ hour: 'numeric', timeZoneName: 'short', timeZone }, locale).formatToParts(
		new Date(at),
	);
	return parts.find((part) => part.type === 'timeZoneName')?.value ?? timeZone;
}

/** "Sunday, 22 November 2026 at 17:00 GMT+13", for tooltips and screen readers. */
export function formatFullTime(at: string | number, timeZone: string, locale?: string): string {
	return formatter({ dateStyle: 'full', timeStyle: 'long', timeZone }, locale).format(new Date(at));
}

/** "Today", "Tomorrow" or "Yesterday", if a moment is on that day in the zone; else null. */
export function relativeDay(
	at: string | number,
	now: number,
	timeZone: string,
	locale = language.locale,
): string | null {
	const distance = daysFrom(at, now, timeZone);
	if (Math.abs(distance) > 1) return null;
	const name = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(distance, 'day');
	return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1);
}

/** By how many calendar days of the zone a moment is later than another. */
export function daysFrom(at: string | number, now: number, timeZone: string): number {
	return dayNumber(at, timeZone) - dayNumber(now, timeZone);
}

function dayNumber(at: string | number, timeZone: string): number {
	return Date.parse(`${isoDay(at, timeZone)}T00:00:00Z`) / 86_400_000;
}
