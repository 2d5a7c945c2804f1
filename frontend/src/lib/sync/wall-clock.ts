/** What the clock has to know of a tile. All dates are programme dates plus the tile's offset, in milliseconds. */
export interface TileTime {
	id: string;
	/** The date of the frame on screen; null while it is not known. */
	date: number | null;
	/** The range of dates that the tile can be moved to. */
	earliest: number;
	latest: number;
	/** The date at which the tile is at the live edge, with as much buffer as the player wants there. */
	live: number;
	/** Whether frames come. A tile that is paused, seeks or waits for media is not part of the group meanwhile. */
	isPlaying: boolean;
	isAudible: boolean;
}

export interface TileCommand {
	id: string;
	/** Seek by so many milliseconds; null: do not seek. */
	seekBy: number | null;
	rate: number;
}

export type TileStanding =
	/** Within `IN_STEP_MS` of the clock. */
	| 'in-step'
	/** On its way to the clock. */
	| 'adjusting'
	/** Its stream does not hold what the others show. */
	| 'out-of-reach'
	/** It shows nothing that has a date, or stands still. */
	| 'absent';

export interface ClockStep {
	commands: TileCommand[];
	standings: Map<string, TileStanding>;
	/** The date on the clock; null while nothing plays. */
	date: number | null;
	/** The largest difference between two tiles of the group in milliseconds. */
	spread: number;
}

/** Tiles further off than this seek; nearer ones change their rate. */
export const SEEK_BEYOND_MS = 1_000;
export const IN_STEP_MS = 100;
export const RATE_DEVIATION_MAX = 0.05;
/** A rate is changed beyond the first and kept until the second, so that a tile does not waver. */
const CORRECT_BEYOND_MS = 40;
const CORRECT_UNTIL_MS = 12;
/** Deviation of the rate per millisecond of error: 5 % at a tenth of a second. */
const RATE_PER_MS = 0.000_5;
/** After this long at another rate a tile must have made a part of the way that it should have made, else it seeks. */
const CORRECTION_TRIAL_MS = 3_000;
const CORRECTION_PROGRESS_MIN = 0.4;
/** A tile that was sent somewhere is left alone for this long. */
const SEEK_COOLDOWN_MS = 1_500;
/** After so many seeks without success a tile is left alone for longer. */
const SEEK_ATTEMPTS = 3;
const SEEK_RETRY_MS = 10_000;
/** Seeking takes a tile so long at most; what it takes is added to where the tile is sent. */
const SEEK_LAG_MAX_MS = 1_500;
/** The group goes back for a late stream, but no further than this. */
const HOLD_BACK_MAX_MS = 30_000;
/** How long a reason to move the whole group must last. */
const MOVE_AFTER_MS = 2_000;
const MOVE_MIN_INTERVAL_MS = 8_000;
/** A group that follows the live edge and is further behind than this catches up, until it is as near as the second. */
export const CATCH_UP_BEYOND_MS = 4_000;
const CATCH_UP_UNTIL_MS = 500;
/** It plays faster, at a rate at which speech sounds as it is; from further behind it jumps. */
export const JUMP_BEYOND_MS = 10_000;
const CATCH_UP_RATE = 1.05;
const CATCH_UP_RATE_MAX = 1.1;
/** Up to this far behind the lower rate is enough. */
const CATCH_UP_SLOW_MS = 5_000;
/** A browser that has come less than a part of the way after this long does not play faster: the group jumps. */
const CATCH_UP_TRIAL_MS = 8_000;

interface TileMemory {
	leftAloneUntil: number;
	attempts: number;
	/** How long the last seek took until frames came, as far as the clock could see. */
	lagMs: number;
	hasSought: boolean;
	/** When the tile's rate was first changed, and its error then; null while the rate is 1. */
	correction: { since: number; from: number } | null;
	/** The group moves: the tile seeks even if it is not far off, so that it need not change its rate afterwards. */
	movesWithGroup: boolean;
}

/**
 * The one clock of a wall. It follows the tile that is heard, so that this tile's rate changes only while the whole
 * group catches up with the live edge; the other tiles follow the clock. The clock holds no timers and touches no player: the state of the tiles
 * goes in, commands come out.
 */
export class WallClock {
	#date: number | null = null;
	#readAt = 0;
	#tiles = new Map<string, TileMemory>();
	#movedAt = Number.NEGATIVE_INFINITY;
	#reasonSince: number | null = null;
	/** The speed of the clock: above 1 while the group catches up. */
	#pace = 1;
	/** Since when, and from how far behind. */
	#catchUp: { since: number; from: number } | null = null;

	/**
	 * To be called several times a second. `followsLive`: whether the viewer wants the live edge, which is false after
	 * going back in time.
	 */
	step(tiles: readonly TileTime[], now: number, followsLive: boolean): ClockStep {
		this.#forgetOthers(tiles);
		const dated = tiles.filter((tile): tile is DatedTile => tile.date !== null);
		const playing = dated.filter(({ isPlaying }) => isPlaying);
		const leader = this.#leader(playing, now);
		if (!leader) return this.#stand(tiles);

		const elapsed = this.#dateAt(now) ?? leader.date;
		const isLeaderOff = Math.abs(leader.date - elapsed) > SEEK_BEYOND_MS && playing.length > 1;
		this.#date = isLeaderOff ? elapsed : leader.date;
		this.#readAt = now;
		this.#moveGroup(playing, leader, now, followsLive);

		const date = this.#date;
		const standings = new Map<string, TileStanding>();
		const commands = tiles.map((tile) => {
			const error = tile.date === null ? null : date - tile.date;
			const isReachable = date >= tile.earliest && date <= tile.latest;
			standings.set(tile.id, standing(tile, error, isReachable));
			if (error === null || !tile.isPlaying || !isReachable) return this.#leave(tile.id);
			return this.#command(tile, error, tile.id === leader.id, now);
		});
		const together = playing.filter(({ id }) => ['in-step', 'adjusting'].includes(standings.get(id) ?? ''));
		const dates = together.map((tile) => tile.date);
		return { commands, standings, date, spread: Math.max(...dates) - Math.min(...dates) };
	}

	/** The whole group was sent to a date by the viewer. */
	moveTo(date: number, now: number): void {
		this.#date = date;
		this.#readAt = now;
		this.#movedAt = now;
		this.#reasonSince = null;
		this.#keepPace();
		for (const memory of this.#tiles.values()) sentSomewhere(memory, now);
	}

	/** What the clock shows by now, if nothing has stopped it; null if it stands. */
	#dateAt(now: number): number | null {
		return this.#date === null ? null : this.#date + (now - this.#readAt) * this.#pace;
	}

	/** The tile that the clock follows: the one that is heard, else the one that is nearest to the clock. */
	#leader(playing: readonly DatedTile[], now: number): DatedTile | undefined {
		const date = this.#dateAt(now);
		const distance = (tile: DatedTile) => (date === null ? 0 : Math.abs(tile.date - date));
		const audible = playing.find(({ isAudible }) => isAudible);
		return audible ?? [...playing].sort((a, b) => distance(a) - distance(b))[0];
	}

	/** Nothing plays: the clock stands, and starts again from the tile that plays first. */
	#stand(tiles: readonly TileTime[]): ClockStep {
		this.#date = null;
		this.#reasonSince = null;
		this.#keepPace();
		return {
			commands: tiles.map(({ id }) => this.#leave(id)),
			standings: new Map(tiles.map(({ id }) => [id, 'absent'])),
			date: null,
			spread: 0,
		};
	}

	/** Plays faster while the group follows the live edge and is a little behind. Returns whether that leads nowhere. */
	#setPace(late: number, now: number, followsLive: boolean): boolean {
		const isLate = late > (this.#catchUp ? CATCH_UP_UNTIL_MS : CATCH_UP_BEYOND_MS);
		if (!followsLive || !isLate || late > JUMP_BEYOND_MS) {
			this.#keepPace();
			return false;
		}
		this.#catchUp ??= { since: now, from: late };
		const { since, from } = this.#catchUp;
		const gained = (CATCH_UP_RATE - 1) * CORRECTION_PROGRESS_MIN * (now - since);
		if (now - since > CATCH_UP_TRIAL_MS && from - late < gained) return true;
		this.#pace = late > CATCH_UP_SLOW_MS ? CATCH_UP_RATE_MAX : CATCH_UP_RATE;
		return false;
	}

	#keepPace(): void {
		this.#pace = 1;
		this.#catchUp = null;
	}

	/** Moves the clock where every tile can follow, and to the live edge after a long outage. */
	#moveGroup(playing: readonly DatedTile[], leader: DatedTile, now: number, followsLive: boolean): void {
		const date = this.#date ?? leader.date;
		const near = playing.filter(({ latest }) => date - latest < HOLD_BACK_MAX_MS);
		const latest = Math.min(...near.map((tile) => tile.latest));
		const live = Math.min(latest, ...near.map((tile) => tile.live));
		const mustJump = this.#setPace(live - date, now, followsLive);
		const goal =
			date > latest
				? latest - SEEK_BEYOND_MS
				: date < leader.earliest
					? leader.earliest + SEEK_BEYOND_MS
					: followsLive && (mustJump || live - date > JUMP_BEYOND_MS)
						? live
						: null;
		if (goal === null) return void (this.#reasonSince = null);
		this.#reasonSince ??= now;
		if (now - this.#reasonSince < MOVE_AFTER_MS || now - this.#movedAt < MOVE_MIN_INTERVAL_MS) return;
		this.#movedAt = now;
		this.#reasonSince = null;
		this.#date = goal;
		this.#keepPace();
		for (const memory of this.#tiles.values())
			Object.assign(memory, { leftAloneUntil: now, movesWithGroup: true });
	}

	#command({ id }: TileTime, error: number, isLeader: boolean, now: number): TileCommand {
		const memory = this.#memory(id);
		const pace = this.#pace;
		if (now < memory.leftAloneUntil) return { id, seekBy: null, rate: pace };
		if (memory.hasSought) {
			memory.hasSought = false;
			memory.lagMs = Math.min(SEEK_LAG_MAX_MS, Math.max(0, memory.lagMs + error));
		}
		// A browser that is short of time does not play faster, whatever its rate says.
		const isStuck = memory.correction !== null && isIneffective(memory.correction, error, now);
		if (Math.abs(error) > (memory.movesWithGroup || isStuck ? IN_STEP_MS : SEEK_BEYOND_MS)) {
			memory.attempts += 1;
			sentSomewhere(memory, now);
			if (memory.attempts > SEEK_ATTEMPTS) {
				memory.attempts = 0;
				memory.leftAloneUntil = now + SEEK_RETRY_MS;
				return { id, seekBy: null, rate: pace };
			}
			return { id, seekBy: error + memory.lagMs, rate: pace };
		}
		memory.attempts = 0;
		memory.movesWithGroup = false;
		// The clock follows the leader, so that there is nothing to correct.
		if (isLeader) return { id, seekBy: null, rate: pace };
		const isOff = Math.abs(error) > (memory.correction === null ? CORRECT_BEYOND_MS : CORRECT_UNTIL_MS);
		memory.correction = isOff ? (memory.correction ?? { since: now, from: error }) : null;
		return { id, seekBy: null, rate: isOff ? pace + deviationFor(error) : pace };
	}

	#leave(id: string): TileCommand {
		this.#memory(id).correction = null;
		return { id, seekBy: null, rate: 1 };
	}

	#memory(id: string): TileMemory {
		let memory = this.#tiles.get(id);
		if (!memory) {
			memory = {
				leftAloneUntil: 0,
				attempts: 0,
				lagMs: 0,
				hasSought: false,
				correction: null,
				movesWithGroup: false,
			};
			this.#tiles.set(id, memory);
		}
		return memory;
	}

	#forgetOthers(tiles: readonly TileTime[]): void {
		for (const id of this.#tiles.keys()) if (!tiles.some((tile) => tile.id === id)) this.#tiles.delete(id);
	}
}

type DatedTile = TileTime & { date: number };

function sentSomewhere(memory: TileMemory, now: number): void {
	memory.leftAloneUntil = now + SEEK_COOLDOWN_MS;
	memory.hasSought = true;
	memory.movesWithGroup = false;
	memory.correction = null;
}

/** Whether an error has hardly shrunk although the rate was changed. */
function isIneffective(
	{ since, from }: { since: number; from: number },
	error: number,
	now: number,
): boolean {
	const elapsed = now - since;
	const progress = Math.abs(from) - Math.abs(error);
	return elapsed > CORRECTION_TRIAL_MS && progress < CORRECTION_PROGRESS_MIN * RATE_DEVIATION_MAX * elapsed;
}

/** The deviation of the rate by which an error shrinks, in steps of half a per cent. */
function deviationFor(errorMs: number): number {
	const deviation = Math.min(RATE_DEVIATION_MAX, Math.max(-RATE_DEVIATION_MAX, errorMs * RATE_PER_MS));
	return Math.round(deviation * 200) / 200;
}

function standing(tile: TileTime, error: number | null, isReachable: boolean): TileStanding {
	if (error === null || !tile.isPlaying) return 'absent';
	if (!isReachable) return 'out-of-reach';
	return Math.abs(error) < IN_STEP_MS ? 'in-step' : 'adjusting';
}
