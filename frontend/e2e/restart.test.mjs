// What a server's sudden death costs its viewers: whoever plays on when a plain origin is killed and started again
// plays on when an edge is.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { scratch, source, edge as startEdge, plays } from './support/edge.mjs';
import { nginx } from './support/nginx.mjs';
import { everyPlayer } from './support/players.mjs';
import { eventually, freePort, start } from './support/process.mjs';

/** Longer than what any of the players has in its buffer: the playlist holds twelve seconds. */
const BUFFERED_MS = 16_000;
/** Some write a segment at a time, and segments take two seconds. */
const STARTED_MS = 5_000;
const WATCHED_MS = 8_000;
/** Longer than a segment: every player asks for something meanwhile, and is refused. */
const OUTAGE_MS = 3_000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Which of them get further while one waits. */
async function moving(players, milliseconds) {
	const positions = () => Promise.all(players.map(({ position }) => position()));
	const before = await positions();
	await pause(milliseconds);
	const after = await positions();
	return players.filter((_, at) => after[at] > before[at]);
}

/** Lets everything play, has `restart` kill the server and start it again, and tells who plays on after that. */
async function playOn(t, url, folder, restart) {
	const players = await everyPlayer(t, url, folder);
	await eventually(
		async () => {
			const on = await moving(players, STARTED_MS);
			const standing = players.filter((player) => !on.includes(player));
			const said = await Promise.all(standing.map(async ({ name, said }) => `${name} (${await said()})`));
			assert.deepEqual(said, []);
			return true;
		},
		'all of them play',
		60,
	);
	const from = Date.now();
	await restart();
	t.diagnostic(`it answered again after ${((Date.now() - from) / 1000).toFixed(1)} s`);
	await pause(BUFFERED_MS);
	const on = await moving(players, WATCHED_MS);
	for (const player of players) {
		t.diagnostic(
			`${player.name} ${on.includes(player) ? 'plays on' : 'stands'} ${(await player.said()).slice(-300)}`,
		);
	}
	await Promise.all(players.map(({ stop }) => stop?.()));
	return on.map(({ name }) => name);
}

test('players outlive an edge that is killed as they outlive a plain origin', async (t) => {
	const folder = scratch(t);
	const media = path.join(folder, 'media');
	mkdirSync(media);
	// prettier-ignore
	const encoder = start('ffmpeg', [
		'-nostdin', '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=256x144:rate=25',
		'-re', '-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000', '-t', '600', '-c:v', 'libx264', '-preset', 'ultrafast',
		'-tune', 'zerolatency', '-g', '50', '-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '48k', '-f', 'hls', '-hls_time', '2',
		'-hls_list_size', '6', '-hls_delete_threshold', '6', '-hls_flags', 'delete_segments+program_date_time',
		'-master_pl_name', 'index.m3u8', 'picture.m3u8',
	], { cwd: media });
	t.after(() => encoder.stop());

	const serve = async (name) => {
		const [port, own] = [await freePort(), path.join(folder, name)];
		mkdirSync(own);
		const run = () =>
			nginx(
				t,
				own,
				`types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; } access_log off;
				server { listen 127.0.0.1:${port}; root ${media}; add_header Access-Control-Allow-Origin *; }`,
			);
		const server = { url: `http://127.0.0.1:${port}/index.m3u8`, run, process: run() };
		// Chromium's own player does not begin with a stream of which there is one segment.
		const segments = async () =>
			(await (await fetch(new URL('picture.m3u8', server.url))).text()).match(/#EXTINF/g);
		await eventually(async () => (await segments()).length >= 4, `${name} serves`);
		return server;
	};
	const [plain, behind] = [await serve('plain'), await serve('behind')];
	const edge = await startEdge(t, source('camera', 'Camera', behind.url), folder);
	await plays(edge.origin, ['camera']);
	const url = `${edge.origin}/live/camera/index.m3u8`;

	const onEdge = await playOn(t, url, path.join(folder, 'of-edge'), async () => {
		await edge.stop('SIGKILL');
		await pause(OUTAGE_MS);
		edge.start();
		await eventually(async () => (await fetch(url)).ok, 'the edge plays again');
	});
	const onPlain = await playOn(t, plain.url, path.join(folder, 'of-plain'), async () => {
		await plain.process.stop('SIGKILL');
		await pause(OUTAGE_MS);
		plain.run();
		await eventually(async () => (await fetch(plain.url)).ok, 'the origin serves again');
	});
	assert.deepEqual(
		onPlain.filter((name) => !onEdge.includes(name)),
		[],
		`plays on after a plain origin, not after an edge; ${onEdge.length} of 10 did after the edge`,
	);
});
