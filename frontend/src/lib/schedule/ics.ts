import type { Meeting, Session } from '$lib/api/documents';
import { moment, startOf } from './status';

/** One session as an iCalendar file; null while its time is not known. */
export function sessionIcs(
	session: Session,
	meeting: Meeting | null,
	page: string,
	stamp: number,
): string | null {
	const start = startOf(session);
	if (start === null) return null;
	const end = moment(session.end) ?? start + 2 * 3_600_000;
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
		`DTSTAMP:${utc(stamp)}`,
		`DTSTART:${utc(start)}`,
		`DTEND:${utc(end)}`,
		`SUMMARY:${escape(titleOf(session))}`,
		...(place.length ? [`LOCATION:${escape(place.join(', '))}`] : []),
		`URL:${page}`,
		'END:VEVENT',
		'END:VCALENDAR',
	];
	return lines.map(fold).join('\r\n') + '\r\n';
}

/** An event that is no session of a weekend is its own meeting: its title is said once. */
export function titleOf({ meeting, name }: Pick<Session, 'meeting' | 'name'>): string {
	return meeting === name ? name : `${meeting}: ${name}`;
}

function utc(at: number): string {
	return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function escape(text: string): string {
	return text.replace(/[\\;,]/g, '\\$&').replace(/\r?\n/g, '\\n');
}

/** Lines are at most 75 octets; longer ones go on after a line break and a space (RFC 5545, 3.1). */
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
