import { describe, expect, test } from 'vitest';
import {
	formatCalendarDate,
	formatClockTime,
	formatDay,
	formatDateRange,
	isoDay,
	relativeDay,
	formatTimeOfDay,
	zoneName,
} from './format';

const start = '2026-11-22T04:00:00Z';

describe.each([
	{
		zone: 'Pacific/Auckland',
		time: '17:00',
		day: 'Sun 22 Nov',
		iso: '2026-11-22',
		name: 'GMT+13',
		clock: '17:00:00',
	},
	{
		zone: 'America/Los_Angeles',
		time: '20:00',
		day: 'Sat 21 Nov',
		iso: '2026-11-21',
		name: 'GMT-8',
		clock: '20:00:00',
	},
	{ zone: 'UTC', time: '04:00', day: 'Sun 22 Nov', iso: '2026-11-22', name: 'UTC', clock: '04:00:00' },
])('$zone', ({ zone, time, day, iso, name, clock }) => {
	test('the start', () => {
		expect(formatTimeOfDay(start, zone, 'en-GB')).toBe(time);
		expect(formatClockTime(Date.parse(start), zone, 'en-GB')).toBe(clock);
		// Locales differ in the comma after the weekday.
		expect(formatDay(start, zone, 'en-GB').replace(',', '')).toBe(day);
		expect(isoDay(start, zone)).toBe(iso);
		expect(zoneName(start, zone, 'en-GB')).toBe(name);
	});
});

test('daylight saving changes the local hour of the same UTC hour', () => {
	expect(formatTimeOfDay('2026-04-04T04:00:00Z', 'Pacific/Auckland', 'en-GB')).toBe('17:00');
	expect(formatTimeOfDay('2026-04-05T04:00:00Z', 'Pacific/Auckland', 'en-GB')).toBe('16:00');
	expect(formatTimeOfDay('2026-03-07T20:00:00Z', 'America/Los_Angeles', 'en-GB')).toBe('12:00');
	expect(formatTimeOfDay('2026-03-08T20:00:00Z', 'America/Los_Angeles', 'en-GB')).toBe('13:00');
});

test('a calendar date is formatted the same in every zone', () => {
	expect(formatCalendarDate('2026-11-22', 'en-GB').replace(',', '')).toBe('Sun 22 Nov');
	expect(formatCalendarDate('soon')).toBe('soon');
});

test.each([
	['2026-11-22T10:59:00Z', 'Pacific/Auckland', 'Today'],
	['2026-11-22T11:00:00Z', 'Pacific/Auckland', 'Tomorrow'],
	['2026-11-21T10:59:00Z', 'Pacific/Auckland', 'Yesterday'],
	['2026-11-22T07:59:00Z', 'America/Los_Angeles', 'Today'],
	['2026-11-24T08:00:00Z', 'America/Los_Angeles', null],
] as const)('%s is %s: %s', (at, zone, expected) => {
	expect(relativeDay(at, Date.parse(start), zone)).toBe(expected);
});

test('the days of a meeting', () => {
	expect(formatDateRange(['2026-11-22', '2026-11-20'], 'en-GB')).toMatch(/^20\s?[–-]\s?22 Nov$/);
	expect(formatDateRange(['2026-11-22'], 'en-GB')).toBe('22 Nov');
	expect(formatDateRange([])).toBeNull();
});

test('a calendar day does not depend on the order in which a browser writes dates', () => {
	// WebKitGTK with ICU 72 writes dates of Canada so.
	const get = () => () => '22/11/2026';
	const original = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format') ?? {};
	Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', { ...original, get });
	expect(isoDay('2026-11-22T23:30:00Z', 'Europe/London')).toBe('2026-11-22');
	expect(relativeDay('2026-11-22T12:00:00Z', Date.parse('2026-11-21T12:00:00Z'), 'UTC', 'en')).toBe(
		'Tomorrow',
	);
	Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', original);
});
