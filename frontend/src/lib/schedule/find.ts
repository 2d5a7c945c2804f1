import type { Schedule, Session } from '$lib/api/documents';

/**
 * The session a link means. Ids read `season:meeting:circuit:code`; when a meeting has moved to another
 * circuit or been renamed, the rest of the id still finds it, so old links keep working.
 */
export function findSession(schedule: Schedule | null, id: string): Session | null {
	const sessions = schedule?.meetings.flatMap((meeting) => meeting.sessions) ?? [];
	const exact = sessions.find((session) => session.id === id);
	if (exact) return exact;

	const [former, own] = [id.slice(0, id.lastIndexOf(':')), id.slice(id.lastIndexOf(':') + 1)];
	const renamed = schedule?.meetings.find(({ former_ids }) => former_ids?.includes(former));
	if (renamed) return renamed.sessions.find(({ code }) => code === own) ?? null;

	const [season, meeting, circuit, code] = id.split(':');
	if (!code) return null;
	const alike = (candidate: Session) => {
		const [s, m, c, k] = candidate.id.split(':');
		return s === season && k === code && (m === meeting || c === circuit);
	};
	const found = sessions.filter(alike);
	return found.length === 1 ? (found[0] ?? null) : null;
}
