import { beforeEach, expect, test, vi } from 'vitest';
import { fakeStorage } from '$lib/testing/fake-storage';
import type { Layout } from './layout';
import { WallModel } from './wall-model.svelte';

let wall: WallModel;
beforeEach(() => {
	vi.stubGlobal('localStorage', fakeStorage());
	wall = new WallModel();
	wall.restore({ layout: '2', streams: ['a', 'b'], audible: 'b', offsets: null });
});

const tileIdOf = (stream: string) => wall.tiles.find((tile) => tile.stream === stream)?.id ?? '';

test('a restored wall has the query that it was restored from', () => {
	expect(wall.toQuery()).toEqual({ layout: '2', streams: ['a', 'b'], audible: 'b', offsets: [0, 0] });
});

test('removing a tile keeps the id of the other one and makes it audible', () => {
	const remainingId = tileIdOf('a');
	wall.removeTile(tileIdOf('b'));
	expect(wall.tiles).toEqual([{ id: remainingId, stream: 'a', offset: 0 }]);
	expect(wall.audible?.id).toBe(remainingId);
	expect(wall.toQuery()).toEqual({ layout: '1', streams: ['a'], audible: null, offsets: [0] });
});

test('a tile keeps its id when its stream changes', () => {
	const id = tileIdOf('a');
	wall.changeStream(id, 'c');
	expect(wall.tiles[0]).toEqual({ id, stream: 'c', offset: 0 });
});

test('changing a tile to the stream of another tile trades their places, and neither tile loads anything', () => {
	const [a, b] = [tileIdOf('a'), tileIdOf('b')];
	wall.changeStream(a, 'b');
	expect(wall.tiles.map(({ id, stream }) => [id, stream])).toEqual([
		[b, 'b'],
		[a, 'a'],
	]);
});

test.each<[start: Layout, streams: string, add: string[], layout: Layout]>([
	['1', 'a', ['b'], '2'],
	['2', 'a,b', ['c'], '1p2'],
	['1p2', 'a,b,c', ['d'], '1p3'],
	['2x2', 'a,b', ['c', 'd'], '2x2'],
	['2x2', 'a,b,c,d', ['e', 'f', 'g', 'h', 'i'], '3x3'],
	['2', 'a,b', ['a', 'b'], '2'],
	['3x3', 'a,b,c,d,e,f,g,h,i', ['j'], '3x3'],
])('%s with %s and then %j is %s', (layout, streams, added, expected) => {
	wall.restore({ layout, streams: streams.split(','), audible: null, offsets: null });
	for (const stream of added) wall.addStream(stream);
	expect(wall.layout).toBe(expected);
	expect(new Set(wall.toQuery().streams).size).toBe(wall.tiles.length);
	expect(wall.tiles.length).toBeLessThanOrEqual(9);
});

test.each<[start: Layout, streams: string, audible: string, chosen: Layout, left: string]>([
	['2x2', 'a,b,c,d', 'a', '2', 'a,b'],
	['2x2', 'a,b,c,d', 'd', '2', 'a,d'],
	['2x2', 'a,b,c,d', 'd', '1', 'd'],
	['2', 'a,b', 'b', '2x2', 'a,b'],
])('%s with %s while %s is heard, then %s, shows %s', (layout, streams, audible, chosen, left) => {
	wall.restore({ layout, streams: streams.split(','), audible, offsets: null });
	wall.chooseLayout(chosen);
	expect(wall.toQuery().streams.join()).toBe(left);
	expect(wall.audible?.stream).toBe(audible);
});

test.each<[start: Layout, streams: string, layout: Layout]>([
	['2x2', 'a,b,c,d', '1p2'],
	['1p3', 'a,b,c,d', '1p2'],
	['2x2', 'a,b', '2x2'],
	['2', 'a,b', '1'],
])('%s with %s is %s without its last tile', (layout, streams, expected) => {
	wall.restore({ layout, streams: streams.split(','), audible: null, offsets: null });
	wall.removeTile(wall.tiles.at(-1)?.id ?? '');
	expect(wall.layout).toBe(expected);
});

test('the first place goes to another tile without a change of what is heard', () => {
	wall.makeFirst(tileIdOf('b'));
	expect(wall.toQuery()).toMatchObject({ streams: ['b', 'a'], audible: 'b' });
});

test('a stream comes back with the offset that it had, in any tile', () => {
	wall.setOffset(tileIdOf('a'), 1.26);
	expect(wall.toQuery().offsets).toEqual([1.3, 0]);
	wall.changeStream(tileIdOf('a'), 'c');
	expect(wall.toQuery().offsets).toEqual([0, 0]);
	const another = new WallModel();
	another.addStream('a');
	expect(another.toQuery().offsets).toEqual([1.3]);
	another.restore({ layout: '1', streams: ['a'], audible: null, offsets: [-2] });
	expect(another.toQuery().offsets).toEqual([-2]);
});

test('soloNextTile cycles through the tiles', () => {
	wall.soloNextTile();
	expect(wall.audible?.stream).toBe('a');
	wall.soloNextTile();
	expect(wall.audible?.stream).toBe('b');
});

test('restoring another URL keeps the tiles whose stream stays', () => {
	const id = tileIdOf('b');
	wall.restore({ layout: '1', streams: ['b'], audible: null, offsets: null });
	expect(wall.tiles).toEqual([{ id, stream: 'b', offset: 0 }]);
});

test('a suggested stream is not a choice of the viewer', () => {
	const fresh = new WallModel();
	fresh.suggestStream('a');
	fresh.suggestStream('b');
	expect(fresh.toQuery().streams).toEqual(['a']);
	expect(fresh.hasViewerChoice).toBe(false);
});
