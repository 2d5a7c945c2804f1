import type { Meeting, Schedule, Session } from '$lib/api/documents';

/** A session for tests: a race without a time, with the given overrides. */
export function session(overrides: Partial<Session> = {}): Session {
	return {
		id: '2026:harbour-grand-prix:harbour:race',
		code: 'race',
		name: 'Race',
		meeting: 'Harbour Grand Prix',
		start: null,
		date: '2026-11-22',
		time_known: overrides.start !== undefined,
		end: null,
		end_estimated: false,
		live_from: null,
		live_until: null,
		status: 'upcoming',
		source: 'jolpica',
		revision: 1,
		...overrides,
	};
}

/** A session of two hours whose watch window is from its start to its end. */
export function timedSession(id: string, start: string): Session {
	const end = new Date(Date.parse(start) + 7_200_000).toISOString();
	return session({ id, start, date: start.slice(0, 10), end, live_from: start, live_until: end });
}

export function meeting(id: string, sessions: Session[]): Meeting {
	return { id, name: id, round: null, circuit: { id, name: id, locality: '', country: '' }, sessions };
}

export function schedule(...meetings: Meeting[]): Schedule {
	return { season: '2026', fetched_at: null, stale_since: null, source: 'jolpica', meetings };
}
