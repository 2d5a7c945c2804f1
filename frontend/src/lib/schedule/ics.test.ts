import { expect, test } from 'vitest';
import { sessionIcs } from './ics';
import { meeting, session, timedSession } from './fixtures';

const race = timedSession('2026:harbour-grand-prix:harbour:race', '2026-11-22T04:00:00Z');

test('a session as an event', () => {
	const place = {
		...meeting('harbour', []),
		circuit: { id: 'h', name: 'Harbour; Street', locality: 'Auckland', country: '' },
	};
	const ics = sessionIcs(race, place, 'https://pitwall.example/watch/x', Date.parse('2026-11-21T00:00:00Z'));
	expect(ics?.split('\r\n')).toEqual([
		'BEGIN:VCALENDAR',
		'VERSION:2.0',
		'PRODID:-//Pitwall//Schedule//EN',
		'BEGIN:VEVENT',
		'UID:2026:harbour-grand-prix:harbour:race@pitwall',
		'SEQUENCE:1',
		'DTSTAMP:20261121T000000Z',
		'DTSTART:20261122T040000Z',
		'DTEND:20261122T060000Z',
		'SUMMARY:Harbour Grand Prix: Race',
		'LOCATION:Harbour\\; Street\\, Auckland',
		'URL:https://pitwall.example/watch/x',
		'END:VEVENT',
		'END:VCALENDAR',
		'',
	]);
});

test('long lines are folded at 75 octets, never inside a character', () => {
	const ics = sessionIcs({ ...race, name: 'é'.repeat(100) }, null, 'https://pitwall.example/', 0) ?? '';
	for (const line of ics.split('\r\n')) expect(new TextEncoder().encode(line).length).toBeLessThanOrEqual(75);
	expect(ics.replaceAll('\r\n ', '')).toContain('é'.repeat(100));
});

test('a session without a time has no event', () => {
	expect(sessionIcs(session(), null, '', 0)).toBeNull();
});

test('a session that is named like its meeting has the name once in its title', () => {
	const match = { ...race, name: 'Arsenal v Chelsea', meeting: 'Arsenal v Chelsea' };
	for (const [one, expected] of [
		[race, 'SUMMARY:Harbour Grand Prix: Race'],
		[match, 'SUMMARY:Arsenal v Chelsea'],
	] as const) {
		expect(sessionIcs(one, null, '', 0)?.split('\r\n')).toContain(expected);
	}
});
