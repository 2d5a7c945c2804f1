// The clock in the demo's pictures, read from the screen: `00:00:05.920` in DejaVu Sans Mono, as origin/media/make.sh
// draws it. It counts through a loop of 24 s.
const LOOP_MS = 24_000;

/**
 * Starts reading the clocks of all tiles. The returned function resolves to the largest difference between two tiles in
 * milliseconds, with what each shows; a difference of Infinity while a tile shows nothing that can be read.
 */
export async function readClocks(page) {
	await page.evaluate(() => {
		// Where the digits that change stand in the text of twelve characters, and what each counts.
		const DIGITS = Object.entries({ 6: 10_000, 7: 1_000, 9: 100, 10: 10 });
		const [WIDTH, HEIGHT] = [16, 24];
		// As parts of the picture's height.
		const [SIZE, TOP, RIGHT] = [0.0585, 0.066, (0.9625 * 16) / 9];
		const FIRST = 6;
		const FRAMES_BETWEEN = 4;
		const columns = (12 - FIRST) * WIDTH;
		const canvas = new OffscreenCanvas(columns, HEIGHT);
		const context = canvas.getContext('2d', { willReadFrequently: true });
		const normalized = (values) => {
			const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
			const centred = values.map((value) => value - mean);
			const norm = Math.hypot(...centred) || 1;
			return centred.map((value) => value / norm);
		};
		/** The brightness of the n-th character of an image, as a vector of length one. */
		const cell = ({ data }, n) =>
			normalized(
				Array.from({ length: WIDTH * HEIGHT }, (_, pixel) => {
					const [x, y] = [n * WIDTH + (pixel % WIDTH), Math.floor(pixel / WIDTH)];
					return data[(y * columns + x) * 4 + 1];
				}),
			);
		const image = () => context.getImageData(0, 0, columns, HEIGHT);
		const glyphs = Array.from({ length: 10 }, (_, digit) => {
			context.fillStyle = '#000';
			context.fillRect(0, 0, WIDTH, HEIGHT);
			context.fillStyle = '#fff';
			context.scale(WIDTH / 60.2, HEIGHT / 72.9);
			context.font = 'bold 100px "DejaVu Sans Mono"';
			context.fillText(String(digit), 0, 72.9);
			context.resetTransform();
			return cell(image(), 0);
		});
		const likeness = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
		const clocks = new WeakMap();
		const read = (video, { expectedDisplayTime }) => {
			const height = video.videoHeight;
			let moment = 0;
			let surest = 1;
			// One copy, because each converts the whole frame.
			const [w, h] = [(12 - FIRST) * Math.round(0.602 * SIZE * height), 0.729 * SIZE * height];
			const [x, y] = [RIGHT * height - w, TOP * height];
			context.drawImage(video, x, y, w, h, 0, 0, columns, HEIGHT);
			const seen = image();
			for (const [at, unit] of DIGITS) {
				const scores = glyphs.map((glyph) => likeness(glyph, cell(seen, Number(at) - FIRST)));
				const best = Math.max(...scores);
				surest = Math.min(surest, best);
				moment += scores.indexOf(best) * unit;
			}
			if (surest > 0.6) clocks.get(video).push({ at: expectedDisplayTime, moment });
			clocks.get(video).splice(0, clocks.get(video).length - 5);
		};
		const watch = () => {
			for (const video of document.querySelectorAll('video')) {
				if (clocks.has(video)) continue;
				clocks.set(video, []);
				let frames = 0;
				const next = (_, frame) => {
					if (!video.isConnected) return;
					if (frames++ % FRAMES_BETWEEN === 0) read(video, frame);
					video.requestVideoFrameCallback(next);
				};
				video.requestVideoFrameCallback(next);
			}
		};
		watch();
		setInterval(watch, 200);
		window.readClocks = (loop) => {
			const now = performance.now();
			const wrapped = (value) => ((value % loop) + loop) % loop;
			return [...document.querySelectorAll('video')].map((video) => {
				const fresh = (clocks.get(video) ?? []).filter(({ at }) => now - at < 1_200);
				if (fresh.length < 3) return null;
				// A frame stays for 40 ms: the median of some is not in the middle of a jump.
				const shown = fresh.map(({ at, moment }) => wrapped(moment + now - at));
				const [first] = shown;
				const near = shown.map((value) => value + loop * Math.round((first - value) / loop));
				near.sort((a, b) => a - b);
				return wrapped(near[Math.floor(near.length / 2)]);
			});
		};
	});
	return async () => {
		const shown = await page.evaluate((loop) => window.readClocks(loop), LOOP_MS);
		if (shown.length === 0 || shown.includes(null)) return { spread: Infinity, shown };
		const offsets = shown.map((moment) => {
			const difference = moment - shown[0];
			return difference - LOOP_MS * Math.round(difference / LOOP_MS);
		});
		return { spread: Math.max(...offsets) - Math.min(...offsets), shown };
	};
}
