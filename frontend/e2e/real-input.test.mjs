// Real input that is not ours: Debian's ffmpeg encodes live, Debian's nginx serves the folder.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { edge, plays, source } from './support/edge.mjs';
import { encoder } from './support/encoder.mjs';
import { eventually } from './support/process.mjs';
import { open, strays, videos } from './support/browser.mjs';

const run = promisify(execFile);

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
