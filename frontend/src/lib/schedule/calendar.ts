import type { Meeting, Schedule, Session, SessionStatus } from '$lib/api/documents';
import { orderOf, statusAt } from './status';

export interface Weekend {
	meeting: Meeting;
	/** Every session in order of time, each with what it is right now. */
	sessions: { session: Session; status: SessionStatus }[];
	status: SessionStatus;
	first: number;
	last: number;
}

export interface Calendar {
	/** The session on now, else the next one; null when the season holds no more. */
	headline: { session: Session; status: SessionStatus; meeting: Meeting } | null;
	/** In progress and ahead, soonest first. */
	ahead: Weekend[];
	/** Over, latest first. */
	behind: Weekend[];
}

/** The schedule grouped by Grand Prix, as it stands at a given moment. */
export function calendarAt(schedule: Schedule, now: number): Calendar {
	const weekends = schedule.meetings
		.map((meeting) => weekendAt(meeting, now))
		.sort((a, b) => a.first - b.first);

	const ahead = weekends.filter(({ status }) => status === 'live' || status === 'upcoming');
	const behind = weekends.filter((weekend) => !ahead.includes(weekend)).reverse();
	return { headline: headlineOf(ahead), ahead, behind };
}

function weekendAt(meeting: Meeting, now: number): Weekend {
	const sessions = [...meeting.sessions]
		.sort((a, b) => orderOf(a) - orderOf(b))
		.map((session) => ({ session, status: statusAt(session, now) }));
	const moments = sessions.map(({ session }) => orderOf(session));
	return {
		meeting,
		sessions,
		status: statusOf(sessions.map(({ status }) => status)),
		first: moments[0] ?? Number.POSITIVE_INFINITY,
		last: moments.at(-1) ?? Number.POSITIVE_INFINITY,
	};
}

/** A meeting without sessions yet is one to come; one with only cancelled sessions is cancelled. */
function statusOf(statuses: SessionStatus[]): SessionStatus {
	if (statuses.includes('live')) return 'live';
	if (statuses.length === 0 || statuses.includes('upcoming')) return 'upcoming';
	return statuses.every((status) => status === 'cancelled') ? 'cancelled' : 'past';
}

function headlineOf(ahead: Weekend[]): Calendar['headline'] {
	const all = ahead.flatMap(({ meeting, sessions }) => sessions.map((entry) => ({ ...entry, meeting })));
	// Two live at once: the one that began last is the one people came for.
	return (
		all.filter(({ status }) => status === 'live').at(-1) ??
		all.find(({ status }) => status === 'upcoming') ??
		null
	);
}
