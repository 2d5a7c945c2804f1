/** The number of tiles of each layout. A new layout needs one line here and one CSS rule in TileWall.svelte. */
export const LAYOUTS = { '1': 1, '2': 2 } as const satisfies Record<string, number>;

export type Layout = keyof typeof LAYOUTS;

export const MAX_TILES = Math.max(...Object.values(LAYOUTS));

export function isLayout(name: string | null): name is Layout {
	return name !== null && Object.hasOwn(LAYOUTS, name);
}

/** The smallest layout that holds this number of tiles. */
export function layoutFor(tiles: number): Layout {
	const fitting = (Object.keys(LAYOUTS) as Layout[]).sort((a, b) => LAYOUTS[a] - LAYOUTS[b]);
	return fitting.find((layout) => LAYOUTS[layout] >= tiles) ?? '2';
}
