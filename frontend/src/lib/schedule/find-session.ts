import type { Schedule, Session } from '$lib/api/documents';

/**
 * The session with this id, or null. An id is `season:meeting:circuit:code`. A meeting that was moved to another
 * circuit or renamed is found by the rest of the id, or by its former ids, so that old links keep working.
 */
export function findSession(schedule: Schedule | null, id: string): Session | null {
	const sessions = schedule?.meetings.flatMap((meeting) => meeting.sessions) ?? [];
	const exact = sessions.find((session) => session.id === id);
	if (exact) return exact;

	const [meetingId, sessionCode] = [id.slice(0, id.lastIndexOf(':')), id.slice(id.lastIndexOf(':') + 1)];
	const renamed = schedule?.meetings.find(({ former_ids }) => former_ids?.includes(meetingId));
	if (renamed) return renamed.sessions.find(({ code }) => code === sessionCode) ?? null;

	const [season, meeting, circuit, code] = id.split(':');
	if (!code) return null;
	const isSameSession = (candidate: Session) => {
		const [candidateSeason, candidateMeeting, candidateCircuit, candidateCode] = candidate.id.split(':');
		return (
			candidateSeason === season &&
			candidateCode === code &&
			(candidateMeeting === meeting || candidateCircuit === circuit)
		);
	};
	const matches = sessions.filter(isSameSession);
	return matches.length === 1 ? (matches[0] ?? null) : null;
}
