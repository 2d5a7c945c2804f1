/** How many tiles each layout holds. A new layout is one line here and one rule in Wall.svelte. */
export const LAYOUTS = { '1': 1, '2': 2 } as const satisfies Record<string, number>;

export type Layout = keyof typeof LAYOUTS;

export const MOST_TILES = Math.max(...Object.values(LAYOUTS));

export function isLayout(name: string | null): name is Layout {
	return name !== null && Object.hasOwn(LAYOUTS, name);
}

/** The smallest layout that holds this many tiles. */
export function layoutFor(tiles: number): Layout {
	const fitting = (Object.keys(LAYOUTS) as Layout[]).sort((a, b) => LAYOUTS[a] - LAYOUTS[b]);
	return fitting.find((layout) => LAYOUTS[layout] >= tiles) ?? '2';
}
