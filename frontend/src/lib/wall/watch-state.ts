import type { Session, SessionStatus } from '$lib/api/documents';

/** What the Watch page shows. */
export type WatchState =
	| 'wall'
	/** The schedule will tell whether the session is on. */
	| 'loading'
	/** The session is not on: its own page, and never another session's picture. */
	| 'waiting'
	/** The schedule has no such session. */
	| 'unknown'
	/** There is no schedule to look it up in. */
	| 'unsure';

interface Known {
	/** The session in the address; null for streams without one. */
	asked: string | null;
	session: Session | null;
	status: SessionStatus | null;
	/** Whether the schedule is here, and fresh. */
	schedule: 'loading' | 'fresh' | 'failed';
	/** The session was on and its wall is watched: a picture is not taken from whoever watches it. */
	watched: boolean;
}

export function watchState({ asked, session, status, schedule, watched }: Known): WatchState {
	if (asked === null) return 'wall';
	if (session) return status === 'live' || (status === 'past' && watched) ? 'wall' : 'waiting';
	if (schedule === 'loading') return 'loading';
	return schedule === 'fresh' ? 'unknown' : 'unsure';
}
