import type { Session, SessionStatus } from '$lib/api/documents';

const HOUR_MS = 3_600_000;
/** This long after midnight UTC a calendar day is over in every time zone. */
const DAY_ENDS_EVERYWHERE_AFTER_MS = 36 * HOUR_MS;
/** The length of the watch window of a session that has neither an end nor `live_until`. */
const DEFAULT_WATCH_WINDOW_MS = 4 * HOUR_MS;

/**
 * The status of a session at a given moment. It is computed from the watch window, because the document's own
 * `status` is only as fresh as the document. During an overrun the edge moves `live_until`.
 */
export function statusAt(session: Session, now: number): SessionStatus {
	if (session.status === 'cancelled') return 'cancelled';

	const from =
		parseTimestamp(session.live_from) ?? (session.time_known ? parseTimestamp(session.start) : null);
	if (from === null)
		return now > Date.parse(`${lastDay(session)}T00:00:00Z`) + DAY_ENDS_EVERYWHERE_AFTER_MS
			? 'past'
			: 'upcoming';

	const until =
		parseTimestamp(session.live_until) ?? parseTimestamp(session.end) ?? from + DEFAULT_WATCH_WINDOW_MS;
	if (now < from) return 'upcoming';
	return now < until ? 'live' : 'past';
}

/** The moment by which a session is sorted: its start, else noon (UTC) of its day. */
export function sessionSortKey(session: Session): number {
	return parseTimestamp(session.start) ?? Date.parse(`${session.date}T12:00:00Z`);
}

/** When a session starts (milliseconds since the epoch); null while its time is not known. */
export function startOf(session: Session): number | null {
	return session.time_known ? parseTimestamp(session.start) : null;
}

/** The last calendar day of a session, which is its only one unless it takes several whole days. */
export function lastDay(session: Session): string {
	return session.last_date ?? session.date;
}

export function parseTimestamp(at: string | null | undefined): number | null {
	const parsed = Date.parse(at ?? '');
	return Number.isNaN(parsed) ? null : parsed;
}
