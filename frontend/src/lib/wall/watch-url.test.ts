import { expect, test } from 'vitest';
import { formatWallQuery, parseWallQuery, watchPath } from './watch-url';

test.each([
	['', '1', '', null, ''],
	['s=a', '1', 'a', null, ''],
	['l=2&s=a,b&a=b', '2', 'a,b', 'b', ''],
	['s=a,b', '2', 'a,b', null, ''],
	['l=2&s=a', '2', 'a', null, ''],
	['l=2x2&s=a,b,c,d', '2x2', 'a,b,c,d', null, ''],
	['l=2x2&s=a,b', '2x2', 'a,b', null, ''],
	['l=1+3&s=a,b,c,d', '1p3', 'a,b,c,d', null, ''],
	['l=1&s=a,b', '2', 'a,b', null, 'The layout of the link holds 1 of its 2 streams; this one holds all.'],
	['l=9&s=a,b', '2', 'a,b', null, 'There is no layout “9”; this one holds all streams of the link.'],
	[
		'l=constructor&s=a',
		'1',
		'a',
		null,
		'There is no layout “constructor”; this one holds all streams of the link.',
	],
	['s=a,a,b&a=c', '2', 'a,b', null, ''],
	['s=a,b,c,d', '2x2', 'a,b,c,d', null, ''],
	['s=a,b,c,d,e,f,g,h,i', '3x3', 'a,b,c,d,e,f,g,h,i', null, ''],
	[
		's=a,b,c,d,e,f,g,h,i,j,k',
		'3x3',
		'a,b,c,d,e,f,g,h,i',
		null,
		'A wall has at most 9 tiles: j, k did not fit.',
	],
	[
		's=../etc,UPPER,,ok',
		'1',
		'ok',
		null,
		'“../etc” is not the id of a stream. “UPPER” is not the id of a stream.',
	],
])('?%s', (query, layout, streams, audible, remarks) => {
	const wall = parseWallQuery(new URLSearchParams(query));
	expect(wall.layout).toBe(layout);
	expect(wall.streams.join()).toBe(streams);
	expect(wall.audible).toBe(audible);
	expect(wall.remarks.join(' ')).toBe(remarks);
	expect(wall.offsets).toBeNull();
});

test.each([
	['s=a,b&o=0,-2.5', [0, -2.5]],
	['s=a,b&o=1.26', [1.3, 0]],
	['s=a,UPPER,b&o=1,2,3', [1, 3]],
	['s=a,b&o=x,1e9', [0, 300]],
])('offsets of ?%s', (query, offsets) => {
	expect(parseWallQuery(new URLSearchParams(query)).offsets).toEqual(offsets);
});

test.each([
	'?l=1&s=a',
	'?l=2&s=a,b',
	'?l=2&s=world-feed,onboard-44&a=onboard-44',
	'?l=1p3&s=a,b,c,d&a=c&o=0,-2.5,0,1',
	'?l=3x3&s=a,b',
])('%s survives a round trip', (query) => {
	expect(formatWallQuery(parseWallQuery(new URLSearchParams(query)))).toBe(query);
});

test('a wall without streams has an empty query', () => {
	expect(formatWallQuery({ layout: '1', streams: [], audible: null, offsets: null })).toBe('');
});

test.each([
	[null, '', '/watch'],
	['2026:harbour-grand-prix:harbour:race', '?l=1&s=a', '/watch/2026:harbour-grand-prix:harbour:race?l=1&s=a'],
	['a/b?c', '', '/watch/a%2Fb%3Fc'],
])('watchPath(%s)', (session, query, expected) => {
	expect(watchPath(session, query)).toBe(expected);
});
