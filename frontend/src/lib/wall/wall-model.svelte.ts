import type { Player } from '$lib/player/player';
import { LAYOUTS, MAX_TILES, layoutFor, type Layout } from './layout';
import { savedOffset, saveOffset } from './saved-offsets';
import { clampOffset, type WallQuery } from './watch-url';

export interface WallTile {
	/** Stable: neither a change of the tile's stream or place nor the removal of another tile changes the id. */
	readonly id: string;
	stream: string;
	/** Seconds by which the tile is shown later than its programme dates say. */
	offset: number;
}

/** The tiles on screen, where each of them is, and which one of them is audible. */
export class WallModel {
	/** The tiles in the order of their places. */
	tiles = $state<WallTile[]>([]);
	layout = $state<Layout>('1');
	#audibleTileId = $state<string | null>(null);
	/** Whether the viewer has changed the wall: only then is the wall written to the URL. */
	hasViewerChoice = $state(false);
	/** The tile whose sound is heard: the one that the viewer chose, else the first. */
	readonly audible: WallTile | null = $derived(
		this.tiles.find(({ id }) => id === this.#audibleTileId) ?? this.tiles[0] ?? null,
	);
	readonly isFull = $derived(this.tiles.length >= MAX_TILES);
	readonly emptyPlaces = $derived(Math.max(0, LAYOUTS[this.layout].places - this.tiles.length));
	/** The players by tile id; keyboard shortcuts and the clock of the wall find their players here. */
	readonly players = new Map<string, Player>();
	#tilesCreated = 0;

	/** Shows the wall of a URL. Tiles whose stream stays keep their id, so that they go on playing. */
	restore({ layout, streams, audible, offsets }: WallQuery): void {
		this.tiles = streams.map((stream, place) => {
			const tile = this.#findTile(stream) ?? this.#createTile(stream);
			const offset = offsets?.[place];
			return offset === undefined ? tile : { ...tile, offset };
		});
		this.layout = layout;
		this.#audibleTileId = (audible && this.#findTile(audible)?.id) || null;
		this.hasViewerChoice = streams.length > 0;
	}

	toQuery(): WallQuery {
		return {
			layout: this.layout,
			streams: this.tiles.map(({ stream }) => stream),
			audible: this.tiles.length > 1 ? (this.audible?.stream ?? null) : null,
			offsets: this.tiles.map(({ offset }) => offset),
		};
	}

	/** Shows a stream that the page chose: unlike a choice of the viewer it is not written to the URL. */
	suggestStream(stream: string): void {
		if (this.tiles.length === 0) this.tiles.push(this.#createTile(stream));
	}

	/** Shows a stream in the next empty place; a wall without one gets the next larger layout. */
	addStream(stream: string): void {
		if (this.isFull || this.#findTile(stream)) return;
		this.tiles.push(this.#createTile(stream));
		if (this.tiles.length > LAYOUTS[this.layout].places)
			this.layout = layoutFor(this.tiles.length, this.layout);
		this.hasViewerChoice = true;
	}

	/** Shows a stream in a tile. If another tile shows that stream, the two tiles trade places. */
	changeStream(tileId: string, stream: string): void {
		const tile = this.tiles.find(({ id }) => id === tileId);
		if (!tile || tile.stream === stream) return;
		const other = this.#findTile(stream);
		if (other) return this.tradePlaces(tileId, other.id);
		tile.stream = stream;
		tile.offset = savedOffset(stream);
		this.hasViewerChoice = true;
	}

	tradePlaces(tileId: string, otherId: string): void {
		const [at, otherAt] = [this.placeOf(tileId), this.placeOf(otherId)];
		const [tile, other] = [this.tiles[at], this.tiles[otherAt]];
		if (!tile || !other || tile === other) return;
		this.tiles[at] = other;
		this.tiles[otherAt] = tile;
		this.hasViewerChoice = true;
	}

	/** The tile gets the first place, which is the large one in layouts that have one. */
	makeFirst(tileId: string): void {
		const [first] = this.tiles;
		if (first) this.tradePlaces(tileId, first.id);
	}

	/** A layout with fewer places than tiles keeps the first tiles, and the audible one in any case. */
	chooseLayout(layout: Layout): void {
		const { places } = LAYOUTS[layout];
		const audible = this.audible;
		if (audible && this.placeOf(audible.id) >= places) {
			const lastKept = this.tiles[places - 1];
			if (lastKept) this.tradePlaces(audible.id, lastKept.id);
		}
		this.tiles = this.tiles.slice(0, places);
		this.layout = layout;
		this.hasViewerChoice = true;
	}

	/** The layout shrinks with the tiles, unless it has empty places that the viewer asked for. */
	removeTile(tileId: string): void {
		const hadEmptyPlaces = this.emptyPlaces > 0;
		this.tiles = this.tiles.filter(({ id }) => id !== tileId);
		if (!hadEmptyPlaces) this.layout = layoutFor(this.tiles.length, this.layout);
		if (this.#audibleTileId === tileId) this.#audibleTileId = null;
		this.hasViewerChoice = true;
	}

	solo(tileId: string): void {
		if (this.audible?.id === tileId) return;
		this.#audibleTileId = tileId;
		this.hasViewerChoice = true;
	}

	/** Makes the next tile the audible one. */
	soloNextTile(): void {
		const at = this.tiles.findIndex(({ id }) => id === this.audible?.id);
		const next = this.tiles[(at + 1) % this.tiles.length];
		if (next) this.solo(next.id);
	}

	/** Moves a tile on the clock of the wall, now and whenever its stream is shown again. */
	setOffset(tileId: string, seconds: number): void {
		const tile = this.tiles.find(({ id }) => id === tileId);
		if (!tile) return;
		tile.offset = clampOffset(seconds);
		saveOffset(tile.stream, tile.offset);
		this.hasViewerChoice = true;
	}

	hasStream(stream: string): boolean {
		return this.#findTile(stream) !== undefined;
	}

	/** The place of a tile, 0 for the first; -1 if the tile is gone. */
	placeOf(tileId: string): number {
		return this.tiles.findIndex(({ id }) => id === tileId);
	}

	/** The place of the tile that shows a stream; -1 if none does. */
	placeOfStream(stream: string): number {
		return this.tiles.findIndex((tile) => tile.stream === stream);
	}

	#findTile(stream: string): WallTile | undefined {
		return this.tiles.find((tile) => tile.stream === stream);
	}

	#createTile(stream: string): WallTile {
		this.#tilesCreated += 1;
		return { id: `tile-${this.#tilesCreated}`, stream, offset: savedOffset(stream) };
	}
}
