/** Times as people read them. Every function takes an IANA zone, so nothing depends on where the code runs. */

type Options = Intl.DateTimeFormatOptions;
const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Options, locale?: string): Intl.DateTimeFormat {
	const key = `${locale ?? ''}|${JSON.stringify(options)}`;
	let made = formats.get(key);
	if (!made) formats.set(key, (made = new Intl.DateTimeFormat(locale, options)));
	return made;
}

/** "17:00" or "5:00 PM", as the locale has it. */
export function timeOfDay(at: string | number, timeZone: string, locale?: string): string {
	return format({ timeStyle: 'short', timeZone }, locale).format(new Date(at));
}

/** "17:00:08". */
export function clockTime(at: number, timeZone: string, locale?: string): string {
	return format({ timeStyle: 'medium', timeZone }, locale).format(at);
}

/** "Sun 22 Nov". */
export function dayOf(at: string | number, timeZone: string, locale?: string): string {
	return format({ weekday: 'short', day: 'numeric', month: 'short', timeZone }, locale).format(new Date(at));
}

/** A calendar day that belongs to no zone ("2026-11-22"): shown as written, wherever the reader is. */
export function calendarDay(date: string, locale?: string): string {
	const at = Date.parse(`${date}T00:00:00Z`);
	return Number.isNaN(at) ? date : dayOf(at, 'UTC', locale);
}

/** "2026-11-22": the calendar day of a moment in a zone. */
export function isoDay(at: string | number, timeZone: string): string {
	return format({ year: 'numeric', month: '2-digit', day: '2-digit', timeZone }, 'en-CA').format(
		new Date(at),
	);
}

/** "20 – 22 Nov": from the first to the last of some calendar days; null when there are none. */
export function daySpan(days: readonly string[], locale?: string): string | null {
	const moments = days.map((day) => Date.parse(`${day}T00:00:00Z`)).filter((at) => !Number.isNaN(at));
	if (moments.length === 0) return null;
	const months = format({ day: 'numeric', month: 'short', timeZone: 'UTC' }, locale);
	return months.formatRange(Math.min(...moments), Math.max(...moments));
}

/** "GMT+13" or "PST": what the zone is called at that moment. */
export function zoneName(at: string | number, timeZone: string, locale?: string): string {
	const parts = format({ hour: 'numeric', timeZoneName: 'short', timeZone }, locale).formatToParts(
		new Date(at),
	);
	return parts.find((part) => part.type === 'timeZoneName')?.value ?? timeZone;
}

/** "Sunday, 22 November 2026 at 17:00 GMT+13": the whole truth, for tooltips and screen readers. */
export function fullTime(at: string | number, timeZone: string, locale?: string): string {
	return format({ dateStyle: 'full', timeStyle: 'long', timeZone }, locale).format(new Date(at));
}

/** Today, tomorrow, yesterday in the zone, else null. */
export function nearDay(
	at: string | number,
	now: number,
	timeZone: string,
): 'Today' | 'Tomorrow' | 'Yesterday' | null {
	const distance = dayNumber(at, timeZone) - dayNumber(now, timeZone);
	if (distance === 0) return 'Today';
	if (distance === 1) return 'Tomorrow';
	return distance === -1 ? 'Yesterday' : null;
}

function dayNumber(at: string | number, timeZone: string): number {
	return Date.parse(`${isoDay(at, timeZone)}T00:00:00Z`) / 86_400_000;
}
