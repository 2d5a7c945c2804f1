import { expect, test } from 'vitest';
import { LAYOUTS, LAYOUT_NAMES, MAX_TILES, layoutFor, parseLayout, type Layout } from './layout';

test.each(LAYOUT_NAMES)('the places of %s fill its grid', (name) => {
	const { places, columns, rows, span, ...shape } = LAYOUTS[name];
	const small = 'inset' in shape ? 0 : places - 1;
	expect(span * span + small).toBe(columns * rows);
});

test.each([
	['2x2', '2x2'],
	['1p3', '1p3'],
	['1+3', '1p3'],
	['1 3', '1p3'],
	['1-3', '1p3'],
	['9', null],
	['', null],
	['constructor', null],
	['2+2', null],
])('a link that says l=%s means %s', (name, layout) => expect(parseLayout(name)).toBe(layout));

test.each<[number, Layout, Layout]>([
	[0, '1', '1'],
	[2, '1', '2'],
	[3, '2', '1p2'],
	[4, '1', '2x2'],
	[4, '1p2', '1p3'],
	[5, '2x2', '3x2'],
	[5, '1p3', '1p5'],
	[7, '3x2', '1p7'],
	[9, '1p7', '3x3'],
	[2, '1p2', '1p1'],
	[2, '2x2', '2'],
])('%i tiles after %s stand in %s', (tiles, before, after) => expect(layoutFor(tiles, before)).toBe(after));

test('nine tiles are the most', () => expect(MAX_TILES).toBe(9));
