import { beforeEach, expect, test } from 'vitest';
import { WallModel } from './wall-model.svelte';

let wall: WallModel;
beforeEach(() => {
	wall = new WallModel();
	wall.restore({ layout: '2', streams: ['a', 'b'], audible: 'b' });
});

const tileIdOf = (stream: string) => wall.tiles.find((tile) => tile.stream === stream)?.id ?? '';

test('a restored wall has the query that it was restored from', () => {
	expect(wall.toQuery()).toEqual({ layout: '2', streams: ['a', 'b'], audible: 'b' });
});

test('removing a tile keeps the id of the other one and makes it audible', () => {
	const remainingId = tileIdOf('a');
	wall.removeTile(tileIdOf('b'));
	expect(wall.tiles).toEqual([{ id: remainingId, stream: 'a' }]);
	expect(wall.audible?.id).toBe(remainingId);
	expect(wall.toQuery()).toEqual({ layout: '1', streams: ['a'], audible: null });
});

test('a tile keeps its id when its stream changes', () => {
	const id = tileIdOf('a');
	wall.changeStream(id, 'c');
	expect(wall.tiles[0]).toEqual({ id, stream: 'c' });
});

test('changing a tile to a stream of another tile swaps the two streams', () => {
	wall.changeStream(tileIdOf('a'), 'b');
	expect(wall.toQuery().streams).toEqual(['b', 'a']);
});

test('a wall has no more tiles than the largest layout, and no stream twice', () => {
	wall.addStream('c');
	wall.removeTile(tileIdOf('b'));
	wall.addStream('a');
	expect(wall.toQuery().streams).toEqual(['a']);
});

test('soloNextTile cycles through the tiles', () => {
	wall.soloNextTile();
	expect(wall.audible?.stream).toBe('a');
	wall.soloNextTile();
	expect(wall.audible?.stream).toBe('b');
});

test('restoring another URL keeps the tiles whose stream stays', () => {
	const id = tileIdOf('b');
	wall.restore({ layout: '1', streams: ['b'], audible: null });
	expect(wall.tiles).toEqual([{ id, stream: 'b' }]);
});

test('a suggested stream is not a choice of the viewer', () => {
	const fresh = new WallModel();
	fresh.suggestStream('a');
	fresh.suggestStream('b');
	expect(fresh.toQuery().streams).toEqual(['a']);
	expect(fresh.hasViewerChoice).toBe(false);
});
