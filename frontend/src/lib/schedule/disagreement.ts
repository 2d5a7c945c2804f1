import type { Claim, Session, SessionStatus } from '$lib/api/documents';
import { formatCalendarDate, formatDay, formatTimeOfDay } from '$lib/time/format';
import { parseTimestamp } from './status';

/**
 * What other schedule sources claim about a session: "openf1 and ics say Sun 22 Nov 20:00". Null if they agree, or
 * if the session is past, when its time no longer matters.
 */
export function describeDisagreement(
	session: Session,
	status: SessionStatus,
	timeZone: string,
	locale?: string,
): string | null {
	if (status === 'past') return null;
	const sourcesByStatement = new Map<string, string[]>();
	for (const claim of session.disagreement ?? []) {
		const statement = describeClaim(claim, timeZone, locale);
		sourcesByStatement.set(statement, [...(sourcesByStatement.get(statement) ?? []), claim.source]);
	}
	const sentences = [...sourcesByStatement].map(
		([statement, names]) => `${names.join(' and ')} ${names.length === 1 ? 'says' : 'say'} ${statement}`,
	);
	return sentences.length ? sentences.join('; ') : null;
}

function describeClaim({ start, date, cancelled }: Claim, timeZone: string, locale?: string): string {
	if (cancelled) return 'it is cancelled';
	const at = parseTimestamp(start);
	if (at === null) return formatCalendarDate(date, locale);
	return `${formatDay(at, timeZone, locale)} ${formatTimeOfDay(at, timeZone, locale)}`;
}
