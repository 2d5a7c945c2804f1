import { expect, test } from 'vitest';
import { formatWallQuery, parseWallQuery, watchPath } from './watch-url';

test.each([
	['', { layout: '1', streams: [], audible: null }],
	['s=a', { layout: '1', streams: ['a'], audible: null }],
	['l=2&s=a,b&a=b', { layout: '2', streams: ['a', 'b'], audible: 'b' }],
	['s=a,b', { layout: '2', streams: ['a', 'b'], audible: null }],
	['l=2&s=a', { layout: '1', streams: ['a'], audible: null }],
	['l=1&s=a,b', { layout: '1', streams: ['a'], audible: null }],
	['l=9&s=a,b', { layout: '2', streams: ['a', 'b'], audible: null }],
	['l=constructor&s=a', { layout: '1', streams: ['a'], audible: null }],
	['s=a,a,b&a=c', { layout: '2', streams: ['a', 'b'], audible: null }],
	['s=a,b,c,d', { layout: '2', streams: ['a', 'b'], audible: null }],
	['s=../etc,<b>,UPPER,,ok', { layout: '1', streams: ['ok'], audible: null }],
])('?%s', (query, expected) => {
	expect(parseWallQuery(new URLSearchParams(query))).toEqual(expected);
});

test.each(['?l=1&s=a', '?l=2&s=a,b', '?l=2&s=world-feed,onboard-44&a=onboard-44'])(
	'%s survives a round trip',
	(query) => {
		expect(formatWallQuery(parseWallQuery(new URLSearchParams(query)))).toBe(query);
	},
);

test('a wall without streams has an empty query', () => {
	expect(formatWallQuery({ layout: '1', streams: [], audible: null })).toBe('');
});

test.each([
	[null, '', '/watch'],
	['2026:harbour-grand-prix:harbour:race', '?l=1&s=a', '/watch/2026:harbour-grand-prix:harbour:race?l=1&s=a'],
	['a/b?c', '', '/watch/a%2Fb%3Fc'],
])('watchPath(%s)', (session, query, expected) => {
	expect(watchPath(session, query)).toBe(expected);
});
