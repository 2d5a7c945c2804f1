// Every player that survives when a plain origin is killed and restarted also survives when an edge is.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { tempFolder, sourceSection, startEdge, waitUntilHealthy } from './support/edge.mjs';
import { startNginx } from './support/nginx.mjs';
import { startAllPlayers } from './support/all-players.mjs';
import { eventually, freePort, startProcess } from './support/process.mjs';

/** Longer than the buffer of any player: the playlist holds twelve seconds. */
const BUFFER_DRAIN_MS = 16_000;
/** Long enough for players that write whole segments, each of which takes two seconds. */
const START_CHECK_MS = 5_000;
const OBSERVE_MS = 8_000;
/**
 * Longer than a segment, so that every player sends a request during the outage and is refused, and shorter than hls.js
 * tries: its third attempt comes after three seconds, and is its last.
 */
const OUTAGE_MS = 2_400;
/**
 * Whether FFmpeg ends at a refused request depends on the moment of the refusal. A player counts only if it plays on
 * after the plain origin and not after the edge in as many rounds in a row.
 */
const ROUNDS = 3;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The players whose position advances within this time. */
async function movingPlayers(players, milliseconds) {
	const positions = () => Promise.all(players.map(({ position }) => position()));
	const before = await positions();
	await pause(milliseconds);
	const after = await positions();
	return players.filter((_, at) => after[at] > before[at]);
}

/** Starts all players, restarts the server with `restart`, and returns the names of the players that play on. */
async function playersThatPlayOn(t, url, folder, restart) {
	const players = await startAllPlayers(t, url, folder);
	await eventually(
		async () => {
			const moving = await movingPlayers(players, START_CHECK_MS);
			const notMoving = players.filter((player) => !moving.includes(player));
			const output = await Promise.all(
				notMoving.map(async ({ name, output }) => `${name} (${await output()})`),
			);
			assert.deepEqual(output, []);
			return true;
		},
		'all of them play',
		60,
	);
	const from = Date.now();
	await restart();
	t.diagnostic(`it answered again after ${((Date.now() - from) / 1000).toFixed(1)} s`);
	await pause(BUFFER_DRAIN_MS);
	const moving = await movingPlayers(players, OBSERVE_MS);
	for (const player of players) {
		t.diagnostic(
			`${player.name} ${moving.includes(player) ? 'plays on' : 'stands'} ${(await player.output()).slice(-300)}`,
		);
	}
	await Promise.all(players.map(({ stop }) => stop?.()));
	return moving.map(({ name }) => name);
}

async function comparePlayers(t) {
	const folder = tempFolder(t);
	const media = path.join(folder, 'media');
	mkdirSync(media);
	// prettier-ignore
	const encoder = startProcess('ffmpeg', [
		'-nostdin', '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=256x144:rate=25',
		'-re', '-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000', '-t', '600', '-c:v', 'libx264', '-preset', 'ultrafast',
		'-tune', 'zerolatency', '-g', '50', '-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '48k', '-f', 'hls', '-hls_time', '2',
		'-hls_list_size', '6', '-hls_delete_threshold', '6', '-hls_flags', 'delete_segments+program_date_time',
		'-master_pl_name', 'index.m3u8', 'picture.m3u8',
	], { cwd: media });
	t.after(() => encoder.stop());

	const startOrigin = async (name) => {
		const [port, nginxFolder] = [await freePort(), path.join(folder, name)];
		mkdirSync(nginxFolder);
		const runNginx = () =>
			startNginx(
				t,
				nginxFolder,
				`types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; } access_log off;
				server { listen 127.0.0.1:${port}; root ${media}; add_header Access-Control-Allow-Origin *; }`,
			);
		const server = { url: `http://127.0.0.1:${port}/index.m3u8`, runNginx, process: runNginx() };
		// Chromium's native player does not start on a playlist with a single segment.
		const segments = async () =>
			(await (await fetch(new URL('picture.m3u8', server.url))).text()).match(/#EXTINF/g);
		await eventually(async () => (await segments()).length >= 4, `${name} serves`);
		return server;
	};
	const [plain, proxied] = [await startOrigin('plain'), await startOrigin('behind')];
	const edge = await startEdge(t, sourceSection('camera', 'Camera', proxied.url), folder);
	await waitUntilHealthy(edge.origin, ['camera']);
	const url = `${edge.origin}/live/camera/index.m3u8`;

	let onlyOnPlain;
	for (let round = 1; round <= ROUNDS && onlyOnPlain?.length !== 0; round++) {
		const onEdge = await playersThatPlayOn(t, url, path.join(folder, `of-edge-${round}`), async () => {
			await edge.stop('SIGKILL');
			await pause(OUTAGE_MS);
			edge.start();
			await eventually(async () => (await fetch(url)).ok, 'the edge plays again');
		});
		const onPlain = await playersThatPlayOn(
			t,
			plain.url,
			path.join(folder, `of-plain-${round}`),
			async () => {
				await plain.process.stop('SIGKILL');
				await pause(OUTAGE_MS);
				plain.process = plain.runNginx();
				await eventually(async () => (await fetch(plain.url)).ok, 'the origin serves again');
			},
		);
		const differing = onPlain.filter((name) => !onEdge.includes(name));
		onlyOnPlain = (onlyOnPlain ?? differing).filter((name) => differing.includes(name));
	}
	assert.deepEqual(onlyOnPlain, [], 'plays on after a plain origin, not after an edge');
}

// Ten players, twice a round: minutes.
if (process.env.FULL)
	test('players outlive an edge that is killed as they outlive a plain origin', comparePlayers);
