// A cell of the table: one packager, one scenario, one player, directly at the origin and at the edge.
import path from 'node:path';
import { FRAME_RATE } from './packagers.mjs';
import { makeFolder, openStage, Scope } from './stage.mjs';

const SAMPLE_MS = 250;
/** How long players may take until they show something. */
const START_SECONDS = 45;
/** How long all players play before something happens. */
const SETTLE_SECONDS = 4;
/** The end of a scenario, in which a player counts as playing if it shows anything. */
const END_SECONDS = 4;

const now = () => performance.now() / 1000;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Samples of what a player has decoded, with the time of each in seconds. */
class Recording {
	constructor(player) {
		this.player = player;
		this.samples = [];
	}
	async sample() {
		const { frames, sound } = await this.player.measure();
		this.samples.push({ at: now(), picture: frames / FRAME_RATE, sound });
	}
	hasBegun(kind) {
		return (this.samples.at(-1)?.[kind] ?? 0) > 0;
	}
	/** What was played between two times: seconds of picture and of sound, and the longest time without either. */
	played(kind, from, until) {
		const samples = this.samples.filter(({ at }) => at >= from && at <= until);
		const [first, last] = [samples[0], samples.at(-1)];
		let stand = 0;
		let movedAt = first.at;
		for (const [at, sample] of samples.entries()) {
			if (at > 0 && sample[kind] > samples[at - 1][kind]) movedAt = sample.at;
			stand = Math.max(stand, sample.at - movedAt);
		}
		const atEnd = samples.find(({ at }) => at >= until - END_SECONDS);
		return {
			picture: last.picture - first.picture,
			sound: last.sound - first.sound,
			stand,
			plays: last[kind] > atEnd[kind],
		};
	}
}

/** Calls `sample` of all recordings in time until `isOver` says so. */
async function record(recordings, isOver) {
	while (!isOver()) {
		await Promise.all([...recordings.map((recording) => recording.sample()), pause(SAMPLE_MS)]);
	}
}

/**
 * Plays a scenario with some players at once, each directly and at the edge. Returns for each player
 * `{ player, direct, edge }`, of which the last two are what was played, whether the player has begun at all, and its
 * output.
 */
export async function playCells(pool, packager, scenario, players) {
	const scope = new Scope();
	let stage;
	try {
		stage = await openStage(scope, pool, packager, scenario);
		const addresses = [stage.addresses.direct, stage.addresses.edge];
		const folder = makeFolder(scope);
		const startedAt = now();
		const pairs = await Promise.all(
			players.map(async (player, at) => {
				const pair = await player.start(scope, addresses, path.join(folder, String(at)));
				return pair.map((one) => new Recording(one));
			}),
		);
		const recordings = pairs.flat();
		const kind = packager.soundOnly ? 'sound' : 'picture';
		const haveAllBegun = () => recordings.every((recording) => recording.hasBegun(kind));
		await record(recordings, () => haveAllBegun() || now() - startedAt > START_SECONDS);
		const from = now();
		const until = from + scenario.seconds;
		const happened = (async () => {
			await pause(SETTLE_SECONDS * 1000);
			await scenario.event?.(stage);
		})();
		await Promise.all([happened, record(recordings, () => now() > until)]);
		return await Promise.all(
			pairs.map(async (pair, at) => {
				const [direct, edge] = await Promise.all(
					pair.map(async (recording) => ({
						...recording.played(kind, from, until),
						begins: recording.hasBegun(kind),
						output: String(await recording.player.output()).slice(-400),
					})),
				);
				return { player: players[at], direct, edge };
			}),
		);
	} finally {
		await scope.end();
		if (scenario.wearsOut && stage) await pool.discard(stage.packager);
	}
}
