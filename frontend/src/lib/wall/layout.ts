/** A wall is a grid of cells of 16:9; the first place may span several of them in both directions. */
export interface LayoutShape {
	/** The number of places. */
	places: number;
	columns: number;
	rows: number;
	/** Columns and rows that the first place spans. */
	span: number;
	/** The second place lies on the first one. */
	inset?: true;
}

/** All layouts. A new one needs one line here, and its name in the catalogue of texts. */
export const LAYOUTS = {
	'1': { places: 1, columns: 1, rows: 1, span: 1 },
	'2': { places: 2, columns: 2, rows: 1, span: 1 },
	'1p1': { places: 2, columns: 4, rows: 4, span: 4, inset: true },
	'1p2': { places: 3, columns: 3, rows: 2, span: 2 },
	'2x2': { places: 4, columns: 2, rows: 2, span: 1 },
	'1p3': { places: 4, columns: 4, rows: 3, span: 3 },
	'3x2': { places: 6, columns: 3, rows: 2, span: 1 },
	'1p5': { places: 6, columns: 3, rows: 3, span: 2 },
	'1p7': { places: 8, columns: 4, rows: 4, span: 3 },
	'3x3': { places: 9, columns: 3, rows: 3, span: 1 },
} as const satisfies Record<string, LayoutShape>;

export type Layout = keyof typeof LAYOUTS;

export const LAYOUT_NAMES = Object.keys(LAYOUTS) as Layout[];

export const MAX_TILES = Math.max(...LAYOUT_NAMES.map((name) => LAYOUTS[name].places));

/** The layout that a name in a link means: `1+3`, whose plus a browser may read as a space, and `1-3` are `1p3`. */
export function parseLayout(name: string): Layout | null {
	const canonical = name.replace(/^(\d)[ +-](\d)$/, '$1p$2');
	return LAYOUT_NAMES.find((layout) => layout === canonical) ?? null;
}

/** The smallest layout that holds this number of tiles: with a large first place if `like` has one. */
export function layoutFor(tiles: number, like: Layout = '1'): Layout {
	const hasLargePlace = (layout: Layout) => LAYOUTS[layout].span > 1;
	const fitting = LAYOUT_NAMES.filter((layout) => LAYOUTS[layout].places >= tiles);
	const fewest = Math.min(...fitting.map((layout) => LAYOUTS[layout].places));
	const smallest = fitting.filter((layout) => LAYOUTS[layout].places === fewest);
	return smallest.find((layout) => hasLargePlace(layout) === hasLargePlace(like)) ?? smallest[0] ?? '3x3';
}
