// Real input that is not ours: Debian's ffmpeg encodes live, Debian's nginx serves the folder.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { edge, plays, scratch, source } from './support/edge.mjs';
import { nginx } from './support/nginx.mjs';
import { eventually, freePort, start } from './support/process.mjs';
import { open, strays, videos } from './support/browser.mjs';

const run = promisify(execFile);

/** A folder of live HLS behind nginx. */
async function encoder(t, muxer) {
	const folder = scratch(t);
	const live = path.join(folder, 'live');
	mkdirSync(live);
	const port = await freePort();
	const server = nginx(
		t,
		folder,
		`access_log off; default_type application/octet-stream;
		server { listen 127.0.0.1:${port}; root ${folder}; }`,
	);
	// prettier-ignore
	const ffmpeg = start('ffmpeg', [
		'-hide_banner', '-loglevel', 'error', '-re',
		'-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25',
		'-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000',
		'-t', '600',
		'-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-keyint_min', '50',
		'-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '64k',
		'-f', 'hls', '-hls_time', '2', '-hls_list_size', '6', ...muxer,
		path.join(live, 'index.m3u8'),
	]);
	t.after(() => ffmpeg.stop());
	const url = `http://127.0.0.1:${port}/live/index.m3u8`;
	await eventually(
		async () => (await (await fetch(url)).text()).split('#EXTINF').length > 3,
		`segments at ${url} (nginx: ${server.said()}; ffmpeg: ${ffmpeg.said()})`,
	);
	return { url, folder };
}

for (const [name, muxer, video] of [
	['MPEG-TS', ['-hls_flags', 'delete_segments'], 'h264'],
	['fMP4', ['-hls_flags', 'delete_segments', '-hls_segment_type', 'fmp4'], 'h264'],
]) {
	test(`${name} from ffmpeg behind nginx plays in ffprobe and Chromium`, async (t) => {
		const { url, folder } = await encoder(t, muxer);
		const { origin } = await edge(t, source('camera', 'Paddock camera', url), folder);
		await plays(origin, ['paddock-camera']);
		const playlist = `${origin}/live/paddock-camera/index.m3u8`;
		const { stdout } = await run(
			'ffprobe',
			['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'json', playlist],
			{ timeout: 30_000 },
		);
		const codecs = JSON.parse(stdout).streams.map((stream) => stream.codec_name);
		assert.ok(codecs.includes(video) && codecs.includes('aac'), `ffprobe sees ${codecs}`);
		// Ten seconds decoded from end to end, with nothing to complain about.
		const played = await run('ffmpeg', ['-v', 'error', '-i', playlist, '-t', '10', '-f', 'null', '-'], {
			timeout: 60_000,
		});
		assert.doesNotMatch(played.stderr, /corrupt|non-monoton|Invalid data/i);

		const { page, seen } = await open(t);
		await page.goto(`${origin}/watch?s=paddock-camera`);
		const [begun] = await eventually(async () => {
			const all = await videos(page);
			return all[0]?.time > 0 && !all[0].paused && all[0].height === 360 && all;
		}, 'it plays');
		await eventually(async () => (await videos(page))[0].time > begun.time + 10, 'it plays for 10 s', 30);
		assert.deepEqual(strays(seen, origin), []);
		assert.deepEqual(seen.complaints, []);
	});
}
