import { beforeEach, expect, test } from 'vitest';
import { Wall } from './wall.svelte';

let wall: Wall;
beforeEach(() => {
	wall = new Wall();
	wall.restore({ layout: '2', streams: ['a', 'b'], audible: 'b' });
});

const idOf = (stream: string) => wall.tiles.find((tile) => tile.stream === stream)?.id ?? '';

test('it shows what the URL said', () => {
	expect(wall.state()).toEqual({ layout: '2', streams: ['a', 'b'], audible: 'b' });
});

test('removing one leaves the other its tile, and makes it heard', () => {
	const kept = idOf('a');
	wall.remove(idOf('b'));
	expect(wall.tiles).toEqual([{ id: kept, stream: 'a' }]);
	expect(wall.audible?.id).toBe(kept);
	expect(wall.state()).toEqual({ layout: '1', streams: ['a'], audible: null });
});

test('a tile keeps its id when its stream changes', () => {
	const id = idOf('a');
	wall.change(id, 'c');
	expect(wall.tiles[0]).toEqual({ id, stream: 'c' });
});

test('a stream that is shown already trades places', () => {
	wall.change(idOf('a'), 'b');
	expect(wall.state().streams).toEqual(['b', 'a']);
});

test('never more tiles than the largest layout, never the same stream twice', () => {
	wall.add('c');
	wall.remove(idOf('b'));
	wall.add('a');
	expect(wall.state().streams).toEqual(['a']);
});

test('the heard tile goes round', () => {
	wall.soloNext();
	expect(wall.audible?.stream).toBe('a');
	wall.soloNext();
	expect(wall.audible?.stream).toBe('b');
});

test('going back keeps the tiles that stay', () => {
	const id = idOf('b');
	wall.restore({ layout: '1', streams: ['b'], audible: null });
	expect(wall.tiles).toEqual([{ id, stream: 'b' }]);
});

test('a suggestion is not a choice', () => {
	const fresh = new Wall();
	fresh.suggest('a');
	fresh.suggest('b');
	expect(fresh.state().streams).toEqual(['a']);
	expect(fresh.chosen).toBe(false);
});
