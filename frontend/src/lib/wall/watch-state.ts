import type { Session, SessionStatus } from '$lib/api/documents';

/** What the Watch page shows. */
export type WatchState =
	| 'wall'
	/** The schedule is loading: until then it is unknown whether the session is live. */
	| 'loading'
	/** The session is not live: the page shows when it is, and never another session's streams. */
	| 'waiting'
	/** The schedule has no such session. */
	| 'unknown'
	/** The schedule failed to load, so that the session cannot be looked up. */
	| 'unsure';

interface WatchStateInput {
	/** The session id in the URL; null for streams without a session. */
	sessionId: string | null;
	session: Session | null;
	status: SessionStatus | null;
	/** State of the schedule document: `failed` if the last request for it failed. */
	schedule: 'loading' | 'fresh' | 'failed';
	/** Whether this page showed the wall while the session was live: then the wall stays when the session ends. */
	wasWatched: boolean;
}

export function watchState({
	sessionId,
	session,
	status,
	schedule,
	wasWatched,
}: WatchStateInput): WatchState {
	if (sessionId === null) return 'wall';
	if (session) return status === 'live' || (status === 'past' && wasWatched) ? 'wall' : 'waiting';
	if (schedule === 'loading') return 'loading';
	return schedule === 'fresh' ? 'unknown' : 'unsure';
}
