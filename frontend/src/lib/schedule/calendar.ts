import type { Meeting, Schedule, Session, SessionStatus } from '$lib/api/documents';
import { sessionSortKey, statusAt } from './status';

export interface MeetingGroup {
	meeting: Meeting;
	/** Every session in order of time, each with its status at the given moment. */
	sessions: { session: Session; status: SessionStatus }[];
	status: SessionStatus;
	first: number;
	last: number;
}

export interface Calendar {
	/** The live session, else the next one; null if the season has no more sessions. */
	headline: { session: Session; status: SessionStatus; meeting: Meeting } | null;
	/** Meetings that are live or upcoming, soonest first. */
	ahead: MeetingGroup[];
	/** Meetings that are past or cancelled, latest first. */
	behind: MeetingGroup[];
}

/** The schedule grouped by meeting, with every status as of `now` (milliseconds since the epoch). */
export function calendarAt(schedule: Schedule, now: number): Calendar {
	const groups = schedule.meetings
		.map((meeting) => groupMeetingAt(meeting, now))
		.sort((a, b) => a.first - b.first);

	const ahead = groups.filter(({ status }) => status === 'live' || status === 'upcoming');
	const behind = groups.filter((group) => !ahead.includes(group)).reverse();
	return { headline: findHeadline(ahead), ahead, behind };
}

function groupMeetingAt(meeting: Meeting, now: number): MeetingGroup {
	const sessions = [...meeting.sessions]
		.sort((a, b) => sessionSortKey(a) - sessionSortKey(b))
		.map((session) => ({ session, status: statusAt(session, now) }));
	const sortKeys = sessions.map(({ session }) => sessionSortKey(session));
	return {
		meeting,
		sessions,
		status: meetingStatus(sessions.map(({ status }) => status)),
		first: sortKeys[0] ?? Number.POSITIVE_INFINITY,
		last: sortKeys.at(-1) ?? Number.POSITIVE_INFINITY,
	};
}

/** A meeting without sessions is upcoming; a meeting whose sessions are all cancelled is cancelled. */
function meetingStatus(statuses: SessionStatus[]): SessionStatus {
	if (statuses.includes('live')) return 'live';
	if (statuses.length === 0 || statuses.includes('upcoming')) return 'upcoming';
	return statuses.every((status) => status === 'cancelled') ? 'cancelled' : 'past';
}

function findHeadline(ahead: MeetingGroup[]): Calendar['headline'] {
	const all = ahead.flatMap(({ meeting, sessions }) => sessions.map((entry) => ({ ...entry, meeting })));
	// Of two live sessions the headline is the one that began last: it is the one that viewers came for.
	return (
		all.filter(({ status }) => status === 'live').at(-1) ??
		all.find(({ status }) => status === 'upcoming') ??
		null
	);
}
