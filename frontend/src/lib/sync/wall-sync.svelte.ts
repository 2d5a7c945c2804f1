import type { Player } from '$lib/player/player';
import type { ProgrammePosition } from '$lib/player/programme-time';
import type { WallModel, WallTile } from '$lib/wall/wall-model.svelte';
import {
	CATCH_UP_BEYOND_MS,
	WallClock,
	type ClockStep,
	type TileStanding,
	type TileTime,
} from './wall-clock';

const STEP_INTERVAL_MS = 250;
const FRAME_SECONDS = 1 / 25;

/** What the page shows of the clock of a wall. Dates are those of the programme plus offsets, in milliseconds. */
export interface SyncView {
	/** The date of the picture of the tile that is heard; null while none is known. */
	date: number | null;
	earliest: number;
	edge: number;
	live: number;
	/** The largest difference between two tiles that are in step. */
	spread: number;
	standings: ReadonlyMap<string, TileStanding>;
	/** How many milliseconds each tile is late (negative: early) to the one that is heard. */
	lateness: ReadonlyMap<string, number>;
	/** The tiles without usable dates. */
	undated: ReadonlySet<string>;
}

const EMPTY_VIEW: SyncView = {
	...{ date: null, earliest: 0, edge: 0, live: 0, spread: 0 },
	...{ standings: new Map(), lateness: new Map(), undated: new Set() },
};

interface MovedPosition extends ProgrammePosition {
	tile: WallTile;
	player: Player;
}

/** Keeps the tiles of a wall on one clock, and moves all of them together through time. */
export class WallSync {
	view = $state.raw<SyncView>(EMPTY_VIEW);
	/** Whether the tiles share one clock; else each is on its own, and commands go to the one that is heard. */
	together = $state(true);
	paused = $state(false);
	/** False after going back in time: then the group stays where it is. */
	followsLive = $state(true);
	/** The tile and the date at which the viewer has said "this is the moment". */
	moment = $state.raw<{ tileId: string; date: number } | null>(null);
	readonly #wall: WallModel;
	readonly #clock = new WallClock();

	constructor(wall: WallModel) {
		this.#wall = wall;
	}

	/** Keeps the tiles together until the returned function is called. */
	start(): () => void {
		const timer = setInterval(() => this.#step(), STEP_INTERVAL_MS);
		return () => clearInterval(timer);
	}

	togglePause(tileId: string): void {
		const players = this.together ? [...this.#wall.players.values()] : this.#only(tileId);
		const [first] = players;
		if (!first) return;
		const pause = players.some(({ video }) => !video.paused);
		for (const player of players) {
			if (pause) player.pause();
			else player.play();
		}
		this.paused = pause;
		// After a pause the viewer is where he stopped, and not taken to the live edge.
		if (!pause) this.followsLive = !this.#isBehind();
	}

	/** Moves to a date, or as near to it as can be; a date near the live edge is the live edge. Returns where it went. */
	seekTo(date: number): number | null {
		const positions = this.#targets();
		const live = Math.min(...positions.map((position) => position.live));
		const earliest = Math.max(...positions.map((position) => position.earliest));
		if (positions.length === 0) return null;
		const goal = Math.max(Math.min(date, live), earliest);
		this.followsLive = live - goal < CATCH_UP_BEYOND_MS;
		if (this.together) this.#clock.moveTo(goal, performance.now());
		for (const position of positions) position.player.seekBy((goal - position.date) / 1_000);
		this.#step();
		return goal;
	}

	/** Returns by how many seconds it moved: less than asked for where less is held. */
	seekBy(seconds: number): number {
		const { date } = this.view;
		const goal = date === null ? null : this.seekTo(date + seconds * 1_000);
		return date === null || goal === null ? 0 : (goal - date) / 1_000;
	}

	goLive(): void {
		this.seekTo(Number.POSITIVE_INFINITY);
		this.followsLive = true;
		for (const player of this.together ? this.#wall.players.values() : this.#only(this.#wall.audible?.id)) {
			if (player.position() === null) player.goLive();
			else player.play();
		}
		this.paused = false;
	}

	/** While paused: one frame on or back. */
	stepFrame(frames: number): void {
		for (const { player } of this.#targets()) {
			if (player.video.paused) player.seekBy(frames * FRAME_SECONDS);
		}
	}

	/**
	 * The viewer sees a moment in this tile now. When the same moment is then seen in another tile, that tile's offset
	 * becomes what puts both on one date. Returns whether an offset was set.
	 */
	markMoment(tileId: string): boolean {
		const position = this.#positions().find(({ tile }) => tile.id === tileId);
		if (!position) return false;
		const first = this.moment;
		if (!first || first.tileId === tileId) {
			this.moment = { tileId, date: position.date };
			return false;
		}
		this.moment = null;
		this.#wall.setOffset(tileId, position.tile.offset + (first.date - position.date) / 1_000);
		return true;
	}

	#step(): void {
		const positions = this.#positions();
		const isAudible = (tile: WallTile) => tile.id === this.#wall.audible?.id;
		const times: TileTime[] = positions.map(({ tile, player, date, earliest, latest, live }) => ({
			...{ id: tile.id, date, earliest, latest, live },
			...{ isPlaying: player.isMoving, isAudible: isAudible(tile) },
		}));
		const result = this.together ? this.#clock.step(times, performance.now(), this.followsLive) : null;
		for (const { player, tile } of positions) {
			const command = result?.commands.find(({ id }) => id === tile.id);
			player.setRate(command?.rate ?? 1);
			if (command?.seekBy != null) player.seekBy(command.seekBy / 1_000);
		}
		this.view = viewOf(positions, result, positions.find(({ tile }) => isAudible(tile)) ?? positions[0]);
		const players = [...this.#wall.players.values()];
		this.paused = players.length > 0 && players.every(({ view }) => view.phase === 'paused');
	}

	#isBehind(): boolean {
		const { date, live } = this.view;
		return date !== null && live - date > CATCH_UP_BEYOND_MS;
	}

	#only(tileId: string | undefined): Player[] {
		const player = this.#wall.players.get(tileId ?? '');
		return player ? [player] : [];
	}

	/** The tiles that a command moves. */
	#targets(): MovedPosition[] {
		const positions = this.#positions();
		if (!this.together) return positions.filter(({ tile }) => tile.id === this.#wall.audible?.id);
		return positions.filter(({ tile }) => this.view.standings.get(tile.id) !== 'out-of-reach');
	}

	/** Where every tile is, with its offset. */
	#positions(): MovedPosition[] {
		return this.#wall.tiles.flatMap((tile) => {
			const player = this.#wall.players.get(tile.id);
			const position = player?.position();
			if (!player || !position) return [];
			const moved = (date: number) => date + tile.offset * 1_000;
			const { date, earliest, edge, latest, live, basis } = position;
			return [
				{
					...{ tile, player, basis, date: moved(date), earliest: moved(earliest), edge: moved(edge) },
					...{ latest: moved(latest), live: moved(live) },
				},
			];
		});
	}
}

function viewOf(
	positions: readonly MovedPosition[],
	result: ClockStep | null,
	shown: MovedPosition | undefined,
): SyncView {
	if (!shown) return EMPTY_VIEW;
	return {
		date: shown.date,
		earliest: shown.earliest,
		edge: shown.edge,
		live: result ? Math.min(...positions.map(({ live }) => live), shown.live) : shown.live,
		spread: result?.spread ?? 0,
		standings: result?.standings ?? new Map(),
		lateness: new Map(positions.map(({ tile, date }) => [tile.id, shown.date - date])),
		undated: new Set(positions.filter(({ basis }) => basis === 'playlist').map(({ tile }) => tile.id)),
	};
}
