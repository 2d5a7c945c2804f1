import { t } from '$lib/i18n/texts';
import { language } from '$lib/i18n/language.svelte';
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
	locale = language.locale,
): string | null {
	if (status === 'past') return null;
	const sourcesByStatement = new Map<string, string[]>();
	for (const claim of session.disagreement ?? []) {
		const statement = describeClaim(claim, timeZone, locale);
		sourcesByStatement.set(statement, [...(sourcesByStatement.get(statement) ?? []), claim.source]);
	}
	const sentences = [...sourcesByStatement].map(([claim, names]) =>
		t('claim', { count: names.length, sources: new Intl.ListFormat(locale).format(names), claim }),
	);
	return sentences.length ? sentences.join('; ') : null;
}

function describeClaim({ start, date, cancelled }: Claim, timeZone: string, locale: string): string {
	if (cancelled) return t('claimCancelled');
	const at = parseTimestamp(start);
	if (at === null) return formatCalendarDate(date, locale);
	return `${formatDay(at, timeZone, locale)} ${formatTimeOfDay(at, timeZone, locale)}`;
}
