export interface Countdown {
	days: number;
	hours: number;
	minutes: number;
	seconds: number;
}

/** Splits a wait into clock parts; a wait that is over is all zeros. */
export function countdown(milliseconds: number): Countdown {
	const total = Math.max(0, Math.ceil(milliseconds / 1_000));
	return {
		days: Math.floor(total / 86_400),
		hours: Math.floor(total / 3_600) % 24,
		minutes: Math.floor(total / 60) % 60,
		seconds: total % 60,
	};
}

/** "12 s", "3 min", "2 h 5 min", "4 days": an age or a wait at the precision a reader wants. */
export function span(milliseconds: number): string {
	const seconds = Math.max(0, Math.round(milliseconds / 1_000));
	if (seconds < 90) return `${seconds} s`;
	const minutes = Math.round(seconds / 60);
	if (minutes < 60) return `${minutes} min`;
	const hours = Math.floor(minutes / 60);
	if (hours < 48) return minutes % 60 && hours < 6 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
	return `${Math.round(hours / 24)} days`;
}

/** "12 s ago", or "never" for a moment that is not known. */
export function ago(at: string | number | null, now: number): string {
	if (at === null) return 'never';
	const moment = typeof at === 'number' ? at : Date.parse(at);
	return Number.isNaN(moment) ? 'unknown' : `${span(now - moment)} ago`;
}
