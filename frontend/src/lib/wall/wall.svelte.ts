import type { Player } from '$lib/player/player';
import type { WallState } from './address';
import { MOST_TILES, layoutFor, type Layout } from './layout';

export interface Tile {
	/** Stays with the tile when its stream changes, and with the others when one leaves. */
	readonly id: string;
	stream: string;
}

/** The tiles on screen and which one is heard. */
export class Wall {
	tiles = $state<Tile[]>([]);
	#audible = $state<string | null>(null);
	/** True once the viewer has chosen something worth keeping in the URL. */
	chosen = $state(false);
	readonly layout: Layout = $derived(layoutFor(this.tiles.length));
	/** The tile that is heard: the chosen one, else the first. */
	readonly audible: Tile | null = $derived(
		this.tiles.find(({ id }) => id === this.#audible) ?? this.tiles[0] ?? null,
	);
	readonly full = $derived(this.tiles.length >= MOST_TILES);
	/** By tile id, for shortcuts. */
	readonly players = new Map<string, Player>();
	#made = 0;

	/** Shows what a URL says. Tiles whose stream is still wanted go on playing. */
	restore({ streams, audible }: WallState): void {
		this.tiles = streams.map((stream) => this.#tileOf(stream) ?? this.#make(stream));
		this.#audible = (audible && this.#tileOf(audible)?.id) || null;
		this.chosen = streams.length > 0;
	}

	state(): WallState {
		return {
			layout: this.layout,
			streams: this.tiles.map(({ stream }) => stream),
			audible: this.tiles.length > 1 ? (this.audible?.stream ?? null) : null,
		};
	}

	/** Picked by the page, not by the viewer: nothing to remember. */
	suggest(stream: string): void {
		if (this.tiles.length === 0) this.tiles.push(this.#make(stream));
	}

	add(stream: string): void {
		if (this.full || this.#tileOf(stream)) return;
		this.tiles.push(this.#make(stream));
		this.chosen = true;
	}

	/** Puts a stream into a tile; one that is shown elsewhere trades places. */
	change(tileId: string, stream: string): void {
		const tile = this.tiles.find(({ id }) => id === tileId);
		if (!tile || tile.stream === stream) return;
		const other = this.#tileOf(stream);
		if (other) other.stream = tile.stream;
		tile.stream = stream;
		this.chosen = true;
	}

	remove(tileId: string): void {
		this.tiles = this.tiles.filter(({ id }) => id !== tileId);
		if (this.#audible === tileId) this.#audible = null;
		this.chosen = true;
	}

	solo(tileId: string): void {
		if (this.audible?.id === tileId) return;
		this.#audible = tileId;
		this.chosen = true;
	}

	/** The next tile is heard. */
	soloNext(): void {
		const at = this.tiles.findIndex(({ id }) => id === this.audible?.id);
		const next = this.tiles[(at + 1) % this.tiles.length];
		if (next) this.solo(next.id);
	}

	shows(stream: string): boolean {
		return this.#tileOf(stream) !== undefined;
	}

	#tileOf(stream: string): Tile | undefined {
		return this.tiles.find((tile) => tile.stream === stream);
	}

	#make(stream: string): Tile {
		this.#made += 1;
		return { id: `tile-${this.#made}`, stream };
	}
}
