// An origin whose picture carries its frame number as a row of black and white boxes, which a test reads from the screen.
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { tempFolder } from './edge.mjs';
import { eventually, listen, startProcess } from './process.mjs';

const FRAME_RATE = 25;
const BITS = 16;
const BOX = 20;

/**
 * One live picture under any number of addresses, `/{any}/{options}/master.m3u8`. Options, joined by `+`: `late2` holds
 * back the newest two segments, `from500` counts the segments from 500 on, `undated` leaves dates out.
 */
export async function startDateOrigin(t) {
	const folder = path.join(tempFolder(t), 'live');
	mkdirSync(folder);
	const boxes = Array.from({ length: BITS }, (_, bit) => {
		const isSet = `mod(floor(n/${2 ** bit})\\,2)`;
		return `drawbox=x=${bit * BOX}:y=0:w=${BOX}:h=${BOX}:color=white:t=fill:enable='${isSet}'`;
	});
	// prettier-ignore
	const ffmpeg = startProcess('ffmpeg', [
		'-hide_banner', '-loglevel', 'error', '-re',
		'-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=${FRAME_RATE}`,
		'-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000',
		'-vf', [`drawbox=x=0:y=0:w=iw:h=${BOX}:color=black:t=fill`, ...boxes].join(),
		'-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-keyint_min', '50',
		'-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '64k',
		'-f', 'hls', '-hls_time', '2', '-hls_list_size', '40', '-hls_flags', 'program_date_time+independent_segments',
		'-hls_segment_filename', `${folder}/%d.ts`, `${folder}/index.m3u8`,
	]);
	t.after(() => ffmpeg.stop());
	const server = createServer((request, response) => {
		const [, , options, file] = request.url.split('?')[0].split('/');
		if (file === 'master.m3u8')
			return response.end(
				'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=600000,CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x180\nindex.m3u8\n',
			);
		try {
			const body = readFileSync(path.join(folder, file));
			response.end(file === 'index.m3u8' ? alterPlaylist(body.toString(), options) : body);
		} catch {
			response.writeHead(404).end();
		}
	});
	const base = `http://127.0.0.1:${await listen(t, server)}`;
	await eventually(
		async () => (await (await fetch(`${base}/any/plain/index.m3u8`)).text()).split('#EXTINF').length > 5,
		`segments (${ffmpeg.output()})`,
	);
	return base;
}

function alterPlaylist(text, options) {
	const late = Number(/late(\d+)/.exec(options)?.[1] ?? 0);
	const from = Number(/from(\d+)/.exec(options)?.[1] ?? 0);
	const [head, ...segments] = text.split(/(?=#EXTINF)/);
	const kept = segments.slice(0, segments.length - late);
	const playlist = [head, ...kept]
		.join('')
		.replace(/#EXT-X-MEDIA-SEQUENCE:(\d+)/, (_, number) => `#EXT-X-MEDIA-SEQUENCE:${Number(number) + from}`);
	return options.includes('undated') ? playlist.replace(/#EXT-X-PROGRAM-DATE-TIME.*\n/g, '') : playlist;
}

/**
 * Reads the frame numbers from the pictures of the page. The returned function resolves to the moment that each tile
 * shows, in milliseconds of the programme, all at the same time; null for a tile that shows no new frames.
 */
export async function readPictures(page) {
	await page.evaluate(
		({ bits, box, rate }) => {
			const canvas = new OffscreenCanvas(bits * box, box);
			const context = canvas.getContext('2d', { willReadFrequently: true });
			window.moments = new WeakMap();
			const read = (video, now, { expectedDisplayTime }) => {
				if (!video.isConnected) return;
				context.drawImage(video, 0, 0, bits * box, box, 0, 0, bits * box, box);
				const { data } = context.getImageData(0, box / 2, bits * box, 1);
				let frame = 0;
				for (let bit = 0; bit < bits; bit += 1) if (data[(bit * box + box / 2) * 4] > 128) frame += 2 ** bit;
				const history = window.moments.get(video) ?? [];
				history.push({ at: expectedDisplayTime, origin: (frame * 1_000) / rate - expectedDisplayTime });
				window.moments.set(video, history.slice(-9));
				video.requestVideoFrameCallback((...frame) => read(video, ...frame));
			};
			const watch = () => {
				for (const video of document.querySelectorAll('video')) {
					if (window.moments.has(video)) continue;
					window.moments.set(video, []);
					video.requestVideoFrameCallback((...frame) => read(video, ...frame));
				}
			};
			watch();
			setInterval(watch, 200);
		},
		{ bits: BITS, box: BOX, rate: FRAME_RATE },
	);
	return () =>
		page.evaluate(() => {
			const now = performance.now();
			return [...document.querySelectorAll('video')].map((video) => {
				const fresh = (window.moments.get(video) ?? []).filter(({ at }) => now - at < 1_000);
				if (fresh.length === 0) return null;
				const origins = fresh.map(({ origin }) => origin).sort((a, b) => a - b);
				return origins[Math.floor(origins.length / 2)] + now;
			});
		});
}
