// A third-party live source: Debian's ffmpeg encodes, Debian's nginx serves the folder.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startEdge, waitUntilHealthy, sourceSection } from './support/edge.mjs';
import { startEncoder } from './support/encoder.mjs';
import { eventually } from './support/process.mjs';
import { openPage, strayRequests, videoStates } from './support/browser.mjs';

const run = promisify(execFile);

/** Without FULL one container is enough: the demo is MPEG-TS, too. */
const INPUTS = [
	['fMP4', ['-hls_flags', 'delete_segments', '-hls_segment_type', 'fmp4'], 'h264'],
	['MPEG-TS', ['-hls_flags', 'delete_segments'], 'h264'],
].slice(0, process.env.FULL ? 2 : 1);

for (const [name, muxer, video] of INPUTS) {
	test(`${name} from ffmpeg behind nginx plays in ffprobe and Chromium`, async (t) => {
		const { url, folder } = await startEncoder(t, muxer);
		const { origin } = await startEdge(t, sourceSection('camera', 'Paddock camera', url), folder);
		await waitUntilHealthy(origin, ['paddock-camera']);
		const playlist = `${origin}/live/paddock-camera/index.m3u8`;
		const { stdout } = await run(
			'ffprobe',
			['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'json', playlist],
			{ timeout: 30_000 },
		);
		const codecs = JSON.parse(stdout).streams.map((stream) => stream.codec_name);
		assert.ok(codecs.includes(video) && codecs.includes('aac'), `ffprobe sees ${codecs}`);
		// ffmpeg decodes ten seconds without reporting damage.
		const decoded = await run('ffmpeg', ['-v', 'error', '-i', playlist, '-t', '10', '-f', 'null', '-'], {
			timeout: 60_000,
		});
		assert.doesNotMatch(decoded.stderr, /corrupt|non-monoton|Invalid data/i);

		const { page, traffic } = await openPage(t);
		await page.goto(`${origin}/watch?s=paddock-camera`);
		const [firstState] = await eventually(async () => {
			const all = await videoStates(page);
			return all[0]?.time > 0 && !all[0].paused && all[0].height === 360 && all;
		}, 'it plays');
		await eventually(
			async () => (await videoStates(page))[0].time > firstState.time + 10,
			'it plays for 10 s',
			30,
		);
		assert.deepEqual(strayRequests(traffic, origin), []);
		assert.deepEqual(traffic.consoleErrors, []);
	});
}
