import type { Meeting, Session } from '$lib/api/documents';
import { parseTimestamp, startOf } from './status';

/** One session as an iCalendar file (RFC 5545); null while the session's time is not known. */
export function sessionIcs(
	session: Session,
	meeting: Meeting | null,
	pageUrl: string,
	createdAt: number,
): string | null {
	const start = startOf(session);
	if (start === null) return null;
	const end = parseTimestamp(session.end) ?? start + 2 * 3_600_000;
	const place = meeting
		? [meeting.circuit.name, meeting.circuit.locality, meeting.circuit.country].filter(Boolean)
		: [];
	const lines = [
		'BEGIN:VCALENDAR',
		'VERSION:2.0',
		'PRODID:-//Pitwall//Schedule//EN',
		'BEGIN:VEVENT',
		`UID:${escape(session.id)}@pitwall`,
		`SEQUENCE:${session.revision}`,
		`DTSTAMP:${formatUtc(createdAt)}`,
		`DTSTART:${formatUtc(start)}`,
		`DTEND:${formatUtc(end)}`,
		`SUMMARY:${escape(eventTitle(session))}`,
		...(place.length ? [`LOCATION:${escape(place.join(', '))}`] : []),
		`URL:${pageUrl}`,
		'END:VEVENT',
		'END:VCALENDAR',
	];
	return lines.map(fold).join('\r\n') + '\r\n';
}

/** A single event has the same name as its meeting, which is then not repeated. */
export function eventTitle({ meeting, name }: Pick<Session, 'meeting' | 'name'>): string {
	return meeting === name ? name : `${meeting}: ${name}`;
}

function formatUtc(at: number): string {
	return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function escape(text: string): string {
	return text.replace(/[\\;,]/g, '\\$&').replace(/\r?\n/g, '\\n');
}

/** Folds a line into lines of at most 75 octets: each further line begins with a space (RFC 5545, section 3.1). */
function fold(line: string): string {
	const parts: string[] = [];
	let part = '';
	let octets = 0;
	for (const letter of line) {
		const size = new TextEncoder().encode(letter).length;
		if (octets + size > 74) {
			parts.push(part);
			part = '';
			octets = 0;
		}
		part += letter;
		octets += size;
	}
	return [...parts, part].join('\r\n ');
}
