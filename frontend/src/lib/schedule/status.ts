import type { Session, SessionStatus } from '$lib/api/documents';

const HOUR = 3_600_000;
/** A day at the circuit is surely over everywhere this long after its UTC midnight. */
const DAY_OVER_EVERYWHERE = 36 * HOUR;
/** When nothing says how long a session may be watched. */
const OPEN_ENDED = 4 * HOUR;

/**
 * What a session is at a given moment. The document's own `status` is only as fresh as the document;
 * the watch window in it lets the page flip by itself. An overrun stays live: the edge moves `live_until`.
 */
export function statusAt(session: Session, now: number): SessionStatus {
	if (session.status === 'cancelled') return 'cancelled';

	const from = moment(session.live_from) ?? (session.time_known ? moment(session.start) : null);
	if (from === null)
		return now > Date.parse(`${session.date}T00:00:00Z`) + DAY_OVER_EVERYWHERE ? 'past' : 'upcoming';

	const until = moment(session.live_until) ?? moment(session.end) ?? from + OPEN_ENDED;
	if (now < from) return 'upcoming';
	return now < until ? 'live' : 'past';
}

/** Where a session sorts: its start, else noon of its day. */
export function orderOf(session: Session): number {
	return moment(session.start) ?? Date.parse(`${session.date}T12:00:00Z`);
}

/** The moment a countdown runs to; null when there is none to run to. */
export function startOf(session: Session): number | null {
	return session.time_known ? moment(session.start) : null;
}

export function moment(at: string | null): number | null {
	const parsed = Date.parse(at ?? '');
	return Number.isNaN(parsed) ? null : parsed;
}
