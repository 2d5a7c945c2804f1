import { describe, expect, test } from 'vitest';
import { WallClock, type TileTime } from './wall-clock';

const STEP_MS = 250;
const START = Date.parse('2026-05-03T13:00:00Z');

interface FakeTile {
	id: string;
	/** Milliseconds from the live edge of the world to the frame on screen. */
	behind: number;
	/** Milliseconds from the live edge of the world to the newest media of this stream. */
	edge?: number;
	hasDates?: boolean;
	/** Milliseconds that a seek takes. */
	seekTakes?: number;
	/** Whether the browser plays faster when it is told to. */
	obeysRate?: boolean;
}

/** Tiles that play by a clock of the test and obey the commands of a `WallClock`. */
class FakeWall {
	now = START;
	readonly clock = new WallClock();
	readonly tiles: (Required<FakeTile> & {
		date: number;
		rate: number;
		readyAt: number;
		stalled: boolean;
		offset: number;
		seeks: number;
		rates: Set<number>;
	})[];
	audible: string;
	followsLive = true;
	result = this.#step();

	constructor(...tiles: FakeTile[]) {
		this.tiles = tiles.map((tile) => ({
			...{ edge: 2_000, hasDates: true, seekTakes: 200, obeysRate: true, ...tile },
			...{ date: START - tile.behind, rate: 1, readyAt: 0, stalled: false, offset: 0 },
			...{ seeks: 0, rates: new Set<number>() },
		}));
		this.audible = tiles[0]?.id ?? '';
	}

	tile(id: string) {
		const tile = this.tiles.find((candidate) => candidate.id === id);
		if (!tile) throw new Error(id);
		return tile;
	}

	/** Runs for some seconds; `each` is called after every step. */
	run(seconds: number, each: () => void = () => {}) {
		for (let passed = 0; passed < seconds * 1_000; passed += STEP_MS) {
			this.now += STEP_MS;
			for (const tile of this.tiles)
				if (!tile.stalled && this.now >= tile.readyAt)
					tile.date += STEP_MS * (tile.obeysRate ? tile.rate : Math.min(1, tile.rate));
			this.result = this.#step();
			each();
		}
		return this;
	}

	/** The largest difference between two tiles, with their offsets. */
	spread(...ids: string[]): number {
		const dates = this.tiles
			.filter(({ id }) => ids.length === 0 || ids.includes(id))
			.map(({ date, offset }) => date + offset);
		return Math.max(...dates) - Math.min(...dates);
	}

	behind(id: string): number {
		return this.now - this.tile(id).date;
	}

	#step() {
		if (!this.tiles) return new WallClock().step([], 0, true);
		const times: TileTime[] = this.tiles.map((tile) => ({
			id: tile.id,
			date: tile.hasDates ? tile.date + tile.offset : null,
			earliest: this.now - 300_000 + tile.offset,
			latest: this.now - tile.edge - 2_000 + tile.offset,
			live: this.now - tile.edge - 4_000 + tile.offset,
			isPlaying: !tile.stalled && this.now >= tile.readyAt,
			isAudible: tile.id === this.audible,
		}));
		const result = this.clock.step(times, this.now, this.followsLive);
		for (const { id, seekBy, rate } of result.commands) {
			const tile = this.tile(id);
			tile.rate = rate;
			tile.rates.add(rate);
			if (seekBy === null) continue;
			tile.seeks += 1;
			tile.date += seekBy;
			tile.readyAt = this.now + tile.seekTakes;
		}
		return result;
	}
}

const tile = (id: string, behind: number, more: Partial<FakeTile> = {}): FakeTile => ({
	id,
	behind,
	...more,
});

describe('any two tiles are within 100 ms after 30 s', () => {
	test.each<[string, FakeTile[], maxSeeks: number]>([
		['opened together', [tile('a', 6_000), tile('b', 6_000)], 0],
		['a little late', [tile('a', 6_000), tile('b', 6_480)], 0],
		['a little early', [tile('a', 6_000), tile('b', 5_520)], 0],
		['just below the limit for a seek', [tile('a', 6_000), tile('b', 6_990)], 0],
		['far off', [tile('a', 6_000), tile('b', 14_000), tile('c', 5_000), tile('d', 7_680)], 2],
		['seeks are slow', [tile('a', 6_000), tile('b', 16_000, { seekTakes: 1_400 })], 2],
		['the others are ahead', [tile('a', 9_000), tile('b', 6_000), tile('c', 6_300)], 2],
		['one stream is 6 s later than the others', [tile('a', 6_000), tile('b', 12_000, { edge: 8_000 })], 2],
		['a browser that is short of time', [tile('a', 6_000), tile('b', 6_900, { obeysRate: false })], 2],
		['nine tiles', Array.from({ length: 9 }, (_, n) => tile(`${n}`, 6_000 + n * 700)), 2],
	])('%s', (_, tiles, maxSeeks) => {
		const wall = new FakeWall(...tiles).run(30);
		expect(wall.spread()).toBeLessThan(100);
		expect(wall.result.spread).toBeCloseTo(wall.spread(), 0);
		expect([...wall.result.standings.values()].every((standing) => standing === 'in-step')).toBe(true);
		expect([...wall.tile(tiles[0]?.id ?? '').rates]).toEqual([1]);
		for (const { seeks, rates } of wall.tiles) {
			expect(seeks).toBeLessThanOrEqual(maxSeeks);
			for (const rate of rates) expect(Math.abs(rate - 1)).toBeLessThanOrEqual(0.05 + 1e-9);
		}
		wall.run(120);
		expect(wall.spread()).toBeLessThan(100);
	});
});

test('a tile that stalls drops out, does not stop the others, and comes back', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000), tile('c', 6_000)).run(5);
	wall.tile('b').stalled = true;
	wall.run(7, () => expect(wall.result.standings.get('b')).toBe('absent'));
	expect([wall.behind('a'), wall.behind('c')]).toEqual([6_000, 6_000]);
	wall.tile('b').stalled = false;
	wall.run(15);
	expect(wall.spread()).toBeLessThan(100);
	expect([wall.tile('a').seeks, wall.tile('c').seeks]).toEqual([0, 0]);
});

test('the tile that is heard comes back to the others, not they to it', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000), tile('c', 6_000)).run(5);
	wall.tile('a').stalled = true;
	wall.run(5);
	wall.tile('a').stalled = false;
	wall.run(10);
	expect(wall.spread()).toBeLessThan(100);
	expect([wall.tile('a').seeks, wall.tile('b').seeks, wall.tile('c').seeks]).toEqual([1, 0, 0]);
	expect(Math.abs(wall.behind('b') - 6_000)).toBeLessThan(100);
});

test('another tile is heard: nothing jumps', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_030), tile('c', 6_000)).run(10);
	wall.audible = 'b';
	wall.run(20);
	expect(wall.spread()).toBeLessThan(100);
	expect(wall.tiles.map(({ seeks }) => seeks)).toEqual([0, 0, 0]);
});

test('after an outage of all tiles the group goes back to the live edge, together', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000)).run(5);
	for (const each of wall.tiles) each.stalled = true;
	wall.run(13.5);
	expect(wall.result.date).toBeNull();
	for (const each of wall.tiles) each.stalled = false;
	wall.run(10);
	expect(wall.behind('a')).toBeLessThan(6_500);
	expect(wall.spread()).toBeLessThan(100);
});

describe('a group that has fallen behind catches up', () => {
	test.each<
		[string, { outage: number; obeysRate?: boolean; followsLive?: boolean }, within: number, expected: string]
	>([
		['a short wait is left as it is', { outage: 3 }, 60, 'stays'],
		['a few seconds, by playing faster', { outage: 4.5 }, 100, 'rate'],
		['more seconds, by playing faster', { outage: 9 }, 140, 'rate'],
		['many seconds, by a jump', { outage: 12 }, 10, 'jump'],
		['a browser that does not play faster jumps', { outage: 6, obeysRate: false }, 20, 'jump'],
		['a viewer who went back stays there', { outage: 9, followsLive: false }, 140, 'stays'],
	])('%s', (_, { outage, obeysRate = true, followsLive = true }, within, expected) => {
		const wall = new FakeWall(tile('a', 6_000, { obeysRate }), tile('b', 6_000, { obeysRate })).run(5);
		wall.followsLive = followsLive;
		for (const each of wall.tiles) each.stalled = true;
		wall.run(outage);
		for (const each of wall.tiles) each.stalled = false;
		wall.run(within);
		const { rates, seeks } = wall.tile('a');
		expect(wall.behind('a') - 6_000).toBeLessThan(expected === 'stays' ? outage * 1_000 + 1 : 600);
		expect({ stays: seeks === 0 && rates.size === 1, rate: seeks === 0, jump: seeks > 0 }[expected]).toBe(
			true,
		);
		expect(Math.max(...rates)).toBeLessThanOrEqual(1.1);
		expect(wall.spread()).toBeLessThan(100);
		// It is there, and plays at the normal rate again.
		wall.run(10);
		expect(wall.tile('a').rate).toBe(1);
	});
});

test('a tile that is late stays in step while the group catches up', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000)).run(5);
	for (const each of wall.tiles) each.stalled = true;
	wall.run(8);
	for (const each of wall.tiles) each.stalled = false;
	wall.tile('b').date -= 400;
	wall.run(20);
	expect(wall.tile('a').rate).toBe(1.1);
	expect(wall.spread()).toBeLessThan(100);
	expect(Math.max(...wall.tile('b').rates)).toBeLessThanOrEqual(1.15 + 1e-9);
});

test('a viewer who went back stays there, in step', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000)).run(5);
	wall.followsLive = false;
	wall.clock.moveTo(wall.now - 60_000, wall.now);
	for (const each of wall.tiles) Object.assign(each, { date: wall.now - 60_000, readyAt: wall.now + 300 });
	wall.tile('b').readyAt += 600;
	wall.run(30);
	expect(Math.round(wall.behind('a') / 1_000)).toBe(60);
	expect(wall.spread()).toBeLessThan(100);
});

test('the machine slept: the group comes back at once', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000)).run(5);
	wall.now += 60_000;
	wall.run(6);
	expect(wall.behind('a')).toBeLessThan(8_000);
	expect(wall.spread()).toBeLessThan(100);
});

test('offsets are part of the dates', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 6_000)).run(5);
	wall.tile('b').offset = -2_500;
	wall.run(15);
	expect(wall.spread()).toBeLessThan(100);
	expect(Math.abs(wall.tile('b').date - wall.tile('a').date - 2_500)).toBeLessThan(100);
});

test.each<[string, FakeTile]>([
	['has no date', tile('b', 6_000, { hasDates: false })],
	['is a minute late', tile('b', 66_000, { edge: 62_000 })],
])('a tile that %s is left alone, and leaves the others alone', (_, odd) => {
	const wall = new FakeWall(tile('a', 6_000), odd, tile('c', 7_000)).run(20);
	expect(wall.spread('a', 'c')).toBeLessThan(100);
	expect(wall.behind('a')).toBe(6_000);
	expect([...wall.tile('b').rates, wall.tile('b').seeks]).toEqual([1, 0]);
	expect(['absent', 'out-of-reach']).toContain(wall.result.standings.get('b'));
});

test('a tile that cannot get where it is sent is not sent there all the time', () => {
	const wall = new FakeWall(tile('a', 6_000), tile('b', 9_000));
	wall.run(60, () => {
		const stuck = wall.tile('b');
		stuck.date = wall.tile('a').date - 3_000;
	});
	expect(wall.tile('b').seeks).toBeLessThan(20);
	expect(wall.tile('a').seeks).toBe(0);
});

test('a wall without tiles has no time', () => {
	expect(new WallClock().step([], START, true)).toMatchObject({ commands: [], date: null, spread: 0 });
});
