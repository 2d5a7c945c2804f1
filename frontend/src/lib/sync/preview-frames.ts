import { loadHls } from '$lib/player/load-hls';
import type Hls from 'hls.js';
import type { LevelDetails } from 'hls.js';
import { fragmentAt } from './preview-fragment';

export const PREVIEW_WIDTH = 160;
export const PREVIEW_HEIGHT = 90;
/** 57 kB each. */
const FRAMES_MAX = 60;
const LOAD_TIMEOUT_MS = 4_000;
/** After a moment without a picture nothing is loaded for this long. */
const RETRY_AFTER_MS = 3_000;
/** A pointer that moves on sooner asks for nothing. */
const ASK_AFTER_MS = 120;
/** A preview that nobody has looked at for this long gives back its decoder and its memory. */
const CLOSE_AFTER_MS = 15_000;

/** A moment of the programme: its date, and that of the playlist's end, in milliseconds since the epoch. */
interface Moment {
	date: number;
	edgeDate: number;
}

/**
 * Still pictures of a stream at past moments, one for each segment, from the smallest rendition. Segments are loaded
 * only while somebody points at a moment, one at a time, and the latest request wins.
 */
export class PreviewFrames {
	readonly #playlist: string;
	readonly #onFrame: (frame: ImageBitmap | null) => void;
	readonly #frames = new Map<number, ImageBitmap>();
	readonly #video = document.createElement('video');
	#hls: Hls | null = null;
	#wanted: Moment | null = null;
	#isWorking = false;
	#retryAt = 0;
	/** How often `close` was called: what was begun before is not kept. */
	#closings = 0;
	#askTimer: ReturnType<typeof setTimeout> | undefined;
	#closeTimer: ReturnType<typeof setTimeout> | undefined;

	/** `onframe` is called with the picture of the moment that was asked for last; null while there is none. */
	constructor(playlist: string, onframe: (frame: ImageBitmap | null) => void) {
		this.#playlist = playlist;
		this.#onFrame = onframe;
		this.#video.muted = true;
	}

	ask(moment: Moment): void {
		clearTimeout(this.#closeTimer);
		clearTimeout(this.#askTimer);
		this.#wanted = null;
		const known = this.#knownFrame(moment);
		this.#onFrame(known);
		if (known || performance.now() < this.#retryAt) return;
		this.#askTimer = setTimeout(() => {
			this.#wanted = moment;
			if (!this.#isWorking) void this.#work();
		}, ASK_AFTER_MS);
	}

	/** Nobody points at a moment any more. */
	rest(): void {
		clearTimeout(this.#askTimer);
		clearTimeout(this.#closeTimer);
		this.#wanted = null;
		this.#onFrame(null);
		this.#closeTimer = setTimeout(() => this.close(), CLOSE_AFTER_MS);
	}

	close(): void {
		clearTimeout(this.#askTimer);
		clearTimeout(this.#closeTimer);
		this.#wanted = null;
		this.#closings++;
		this.#hls?.destroy();
		this.#hls = null;
		for (const frame of this.#frames.values()) frame.close();
		this.#frames.clear();
	}

	#knownFrame({ date, edgeDate }: Moment): ImageBitmap | null {
		const details = this.#hls?.latestLevelDetails;
		const fragment = details && fragmentAt(details, date, edgeDate);
		return (fragment && this.#frames.get(Number(fragment.sn))) ?? null;
	}

	async #work(): Promise<void> {
		this.#isWorking = true;
		while (this.#wanted) {
			const moment = this.#wanted;
			// A moment without a picture has none: the stream may be down, or the segment gone.
			const frame = await this.#frameAt(moment).catch(() => null);
			this.#hls?.stopLoad();
			if (!frame) this.#retryAt = performance.now() + RETRY_AFTER_MS;
			if (this.#wanted !== moment) continue;
			this.#wanted = null;
			this.#onFrame(frame);
		}
		this.#isWorking = false;
	}

	async #frameAt(moment: Moment): Promise<ImageBitmap | null> {
		const closings = this.#closings;
		const hls = this.#hls ?? (await this.#open());
		if (closings !== this.#closings) hls?.destroy();
		if (!hls || closings !== this.#closings) return null;
		this.#hls = hls;
		const find = (details: LevelDetails | null) =>
			details && fragmentAt(details, moment.date, moment.edgeDate);
		const fragment = find(hls.latestLevelDetails) ?? find(await this.#reload(hls));
		if (!fragment) return null;
		const known = this.#frames.get(Number(fragment.sn));
		if (known) return known;
		hls.startLoad(fragment.start);
		// The first frame of a segment needs no other one.
		this.#video.currentTime = fragment.start + 0.05;
		await event((done) => this.#video.addEventListener('seeked', done, { once: true }));
		const size = { resizeWidth: PREVIEW_WIDTH, resizeHeight: PREVIEW_HEIGHT };
		const frame = await createImageBitmap(this.#video, size);
		this.#frames.set(Number(fragment.sn), frame);
		this.#dropOldest();
		return frame;
	}

	#dropOldest(): void {
		const [oldest] = this.#frames.keys();
		if (oldest === undefined || this.#frames.size <= FRAMES_MAX) return;
		this.#frames.get(oldest)?.close();
		this.#frames.delete(oldest);
	}

	async #open(): Promise<Hls | null> {
		const loaded = await loadHls();
		if (!loaded) return null;
		const { Hls, workerPath } = loaded;
		const hls = new Hls({
			...{ workerPath, autoStartLoad: false, startLevel: 0, capLevelToPlayerSize: false },
			...{ maxBufferLength: 1, maxMaxBufferLength: 1, backBufferLength: 0, frontBufferFlushThreshold: 4 },
			// A still picture has no sound and no captions.
			...{ audioStreamController: undefined, audioTrackController: undefined },
			...{ subtitleStreamController: undefined, subtitleTrackController: undefined },
		});
		hls.attachMedia(this.#video);
		hls.loadSource(this.#playlist);
		await event((done) => hls.once(Hls.Events.MANIFEST_PARSED, done)).catch((cause) => {
			hls.destroy();
			throw cause;
		});
		// Levels are in order of their bit rate.
		hls.loadLevel = 0;
		return hls;
	}

	/** The playlist of the smallest rendition, as it is now. */
	async #reload(hls: Hls): Promise<LevelDetails | null> {
		const updated = event((done) => hls.once('hlsLevelUpdated' as Parameters<Hls['once']>[0], done));
		hls.startLoad();
		await updated;
		return hls.latestLevelDetails;
	}
}

/** Resolves when the listener is called; rejects where that takes too long. */
function event(listen: (done: () => void) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error('no answer')), LOAD_TIMEOUT_MS);
		listen(() => {
			clearTimeout(timer);
			resolve();
		});
	});
}
