import type { Claim, Session, SessionStatus } from '$lib/api/documents';
import { calendarDay, dayOf, timeOfDay } from '$lib/time/format';
import { moment } from './status';

/**
 * What the schedule's other sources say of a session: "openf1 and ics say Sun 22 Nov 20:00". Null when they
 * agree, and once it is over: what is over is settled.
 */
export function othersSay(
	session: Session,
	status: SessionStatus,
	timeZone: string,
	locale?: string,
): string | null {
	if (status === 'past') return null;
	const sources = new Map<string, string[]>();
	for (const claim of session.disagreement ?? []) {
		const what = said(claim, timeZone, locale);
		sources.set(what, [...(sources.get(what) ?? []), claim.source]);
	}
	const parts = [...sources].map(
		([what, names]) => `${names.join(' and ')} ${names.length === 1 ? 'says' : 'say'} ${what}`,
	);
	return parts.length ? parts.join('; ') : null;
}

function said({ start, date, cancelled }: Claim, timeZone: string, locale?: string): string {
	if (cancelled) return 'it is cancelled';
	const at = moment(start);
	if (at === null) return calendarDay(date, locale);
	return `${dayOf(at, timeZone, locale)} ${timeOfDay(at, timeZone, locale)}`;
}
