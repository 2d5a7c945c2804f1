// A viewer: polls a stream as hls.js does, reads every segment, and keeps count of what a person would notice.
import { newAgent, pause, request } from './client.mjs';
import { readSegment } from './source.mjs';

/** hls.js starts three target durations behind the live edge, and reads ahead as far as the playlist goes. */
const START_BEHIND_TARGETS = 3;
/** The pause before hls.js asks again for what failed. */
const RETRY_MS = 1000;

/**
 * Starts to watch. `stop()` ends it and resolves to the counts:
 *  - `errors`: responses with 5xx; `refusals`: requests without a response; `notFound`: 4xx;
 *  - `cut`: bodies that broke off; `cutClean`: bodies that ended clean and were no whole segment;
 *  - `stepsBack`: playlists whose numbers were lower than before, or a number that became another segment;
 *  - `stallSeconds`: how long the buffer was empty; `skipped`: segments that left the window unread;
 *  - `segments`, `polls`, `pollMs`, `sources`: the labels' sources in the order in which they played.
 */
export function startViewer(origin, stream = 'world-feed', options = {}) {
	const agent = newAgent();
	const counts = {
		polls: 0,
		segments: 0,
		errors: 0,
		notFound: 0,
		refusals: 0,
		cut: 0,
		cutClean: 0,
		stepsBack: 0,
		skipped: 0,
		stallSeconds: 0,
		longestStall: 0,
		pollMs: [],
		sources: [],
		failures: [],
	};
	const published = new Map();
	let stopped = false;
	let media;
	let next;
	let known = new Map();
	let target = 2;
	/** Media seconds read but not played, at the moment `playedAt`; playback has not begun while it is undefined. */
	let buffer = 0;
	let playedAt;
	let stall = 0;

	const play = () => {
		if (playedAt === undefined) return;
		const now = performance.now() / 1000;
		const elapsed = now - playedAt;
		playedAt = now;
		const dry = Math.max(0, elapsed - buffer);
		buffer = Math.max(0, buffer - elapsed);
		counts.stallSeconds += dry;
		stall = dry > 0 ? stall + dry : buffer > 0 ? 0 : stall;
		counts.longestStall = Math.max(counts.longestStall, stall);
	};
	const count = (answer, what) => {
		if (answer.status >= 500) counts.errors++;
		else if (answer.status >= 400) counts.notFound++;
		else if (answer.status === 0) counts.refusals++;
		if (answer.status !== 200 && counts.failures.length < 20)
			counts.failures.push(
				`${what}: ${answer.status || answer.error} ${answer.body.toString().slice(0, 160)}`,
			);
	};
	const get = (path) =>
		request(new URL(path, origin).href, {
			agent,
			timeout: options.timeout ?? 20_000,
			headers: options.headers,
		});

	async function findMedia() {
		const url = `${origin}/live/${stream}/index.m3u8`;
		while (!stopped && !media) {
			const answer = await get(url);
			count(answer, 'multivariant');
			const uris = answer.body.toString().split('\n');
			const uri = uris.find((line) => line !== '' && !line.startsWith('#'));
			if (answer.status === 200 && uri) media = new URL(uri, url).href;
			else await pause(RETRY_MS);
		}
	}

	function readPlaylist(text) {
		const value = (name) => Number(new RegExp(`^#EXT-X-${name}:(\\d+)`, 'm').exec(text)?.[1] ?? 0);
		target = value('TARGETDURATION') || target;
		const first = value('MEDIA-SEQUENCE');
		let number = first;
		let duration = target;
		const segments = new Map();
		for (const line of text.split('\n')) {
			if (line.startsWith('#EXTINF:')) duration = Number.parseFloat(line.slice(8));
			if (line === '' || line.startsWith('#')) continue;
			segments.set(number, { uri: line, duration });
			const path = line.split('?')[0];
			if ((published.get(number) ?? path) !== path) counts.stepsBack++;
			published.set(number, path);
			number++;
		}
		const lastKnown = Math.max(-1, ...known.keys());
		const firstKnown = known.size > 0 ? Math.min(...known.keys()) : -1;
		if (first < firstKnown || number - 1 < lastKnown) counts.stepsBack++;
		const isNew = number - 1 > lastKnown;
		known = segments;
		if (next === undefined && segments.size > 0) next = Math.max(first, number - START_BEHIND_TARGETS);
		if (next !== undefined && next < first) {
			counts.skipped += first - next;
			next = first;
		}
		return isNew;
	}

	async function poll() {
		await findMedia();
		while (!stopped) {
			const began = performance.now();
			const answer = await get(media);
			if (stopped) break;
			counts.polls++;
			count(answer, 'playlist');
			if (answer.status === 404) {
				media = undefined;
				await pause(RETRY_MS);
				await findMedia();
				continue;
			}
			if (answer.status !== 200 || !answer.complete) {
				await pause(RETRY_MS);
				continue;
			}
			counts.pollMs.push(answer.ms);
			const isNew = readPlaylist(answer.body.toString());
			const interval = (isNew ? target : target / 2) * 1000;
			await pause(Math.max(0, interval - (performance.now() - began)));
		}
	}

	async function read() {
		while (!stopped) {
			play();
			const segment = known.get(next);
			if (!segment) {
				await pause(20);
				continue;
			}
			const answer = await get(segment.uri);
			if (stopped) break;
			play();
			if (answer.status === 200 && answer.complete) {
				const { label, isWhole } = options.readSegment?.(answer.body) ?? readSegment(answer.body);
				if (!isWhole) counts.cutClean++;
				const source = label.split(':')[0];
				if (counts.sources.at(-1) !== source) counts.sources.push(source);
				counts.segments++;
				buffer += segment.duration;
				stall = 0;
				playedAt ??= performance.now() / 1000;
				next++;
				continue;
			}
			if (answer.status === 200) counts.cut++;
			count(answer, `segment ${next}`);
			await pause(RETRY_MS);
			if (!known.has(next)) {
				counts.skipped++;
				next++;
			}
		}
	}

	const running = Promise.all([poll(), read()]);
	return {
		counts,
		get buffer() {
			play();
			return buffer;
		},
		/** Resolves when this viewer has read so many segments in all. */
		async until(segments, seconds = 30) {
			const deadline = performance.now() + seconds * 1000;
			while (counts.segments < segments) {
				if (performance.now() > deadline)
					throw new Error(`a viewer read ${counts.segments} segments, not ${segments}: ${counts.failures}`);
				await pause(20);
			}
		},
		/** Resolves to the milliseconds until a segment of this source was read. */
		async untilSource(source, seconds = 30) {
			const began = performance.now();
			while (counts.sources.at(-1) !== source) {
				if (performance.now() > began + seconds * 1000)
					throw new Error(`no segment of ${source} in ${seconds} s: ${counts.failures}`);
				await pause(10);
			}
			return performance.now() - began;
		},
		async stop() {
			play();
			stopped = true;
			agent.destroy();
			await running;
			return counts;
		},
	};
}
