import type { Player } from '$lib/player/player';
import type { WallQuery } from './watch-url';
import { MAX_TILES, layoutFor, type Layout } from './layout';

export interface WallTile {
	/** Stable: neither a change of the tile's stream nor the removal of another tile changes the id. */
	readonly id: string;
	stream: string;
}

/** The tiles on screen, and which one of them is audible. */
export class WallModel {
	tiles = $state<WallTile[]>([]);
	#audibleTileId = $state<string | null>(null);
	/** Whether the viewer has changed the wall: only then is the wall written to the URL. */
	hasViewerChoice = $state(false);
	readonly layout: Layout = $derived(layoutFor(this.tiles.length));
	/** The tile whose sound is heard: the one that the viewer chose, else the first. */
	readonly audible: WallTile | null = $derived(
		this.tiles.find(({ id }) => id === this.#audibleTileId) ?? this.tiles[0] ?? null,
	);
	readonly isFull = $derived(this.tiles.length >= MAX_TILES);
	/** The players by tile id; keyboard shortcuts find their player here. */
	readonly players = new Map<string, Player>();
	#tilesCreated = 0;

	/** Shows the wall of a URL. Tiles whose stream stays keep their id, so that they go on playing. */
	restore({ streams, audible }: WallQuery): void {
		this.tiles = streams.map((stream) => this.#findTile(stream) ?? this.#createTile(stream));
		this.#audibleTileId = (audible && this.#findTile(audible)?.id) || null;
		this.hasViewerChoice = streams.length > 0;
	}

	toQuery(): WallQuery {
		return {
			layout: this.layout,
			streams: this.tiles.map(({ stream }) => stream),
			audible: this.tiles.length > 1 ? (this.audible?.stream ?? null) : null,
		};
	}

	/** Shows a stream that the page chose: unlike a choice of the viewer it is not written to the URL. */
	suggestStream(stream: string): void {
		if (this.tiles.length === 0) this.tiles.push(this.#createTile(stream));
	}

	addStream(stream: string): void {
		if (this.isFull || this.#findTile(stream)) return;
		this.tiles.push(this.#createTile(stream));
		this.hasViewerChoice = true;
	}

	/** Shows a stream in a tile. If another tile shows that stream, the two tiles swap their streams. */
	changeStream(tileId: string, stream: string): void {
		const tile = this.tiles.find(({ id }) => id === tileId);
		if (!tile || tile.stream === stream) return;
		const other = this.#findTile(stream);
		if (other) other.stream = tile.stream;
		tile.stream = stream;
		this.hasViewerChoice = true;
	}

	removeTile(tileId: string): void {
		this.tiles = this.tiles.filter(({ id }) => id !== tileId);
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

	hasStream(stream: string): boolean {
		return this.#findTile(stream) !== undefined;
	}

	#findTile(stream: string): WallTile | undefined {
		return this.tiles.find((tile) => tile.stream === stream);
	}

	#createTile(stream: string): WallTile {
		this.#tilesCreated += 1;
		return { id: `tile-${this.#tilesCreated}`, stream };
	}
}
