import type { ReadTimes } from './media-times';

/** Where a player is in its programme. All dates are in milliseconds since the epoch. */
export interface ProgrammePosition {
	/** The date of the frame on screen. */
	date: number;
	/** The first date that the playlist still holds. */
	earliest: number;
	/** The end of the newest segment. */
	edge: number;
	/** The last date from which playback does not starve at once. */
	latest: number;
	/** Where the player wants to be at the live edge. */
	live: number;
	/**
	 * `clock`: by EXT-X-PROGRAM-DATE-TIME. `playlist`: the stream has no dates, or dates that cannot be right, and its
	 * newest segment is taken for what happens now.
	 */
	basis: 'clock' | 'playlist';
}

type Video = Pick<HTMLVideoElement, 'currentTime'>;
/** The first second of a playlist may leave it before a seek has arrived there. */
const WINDOW_MARGIN_SECONDS = 2;

/** Tells dates from media times. */
export class ProgrammeTime {
	readonly #video: Video;
	readonly #readTimes: ReadTimes;
	/**
	 * The date of media time 0 of a stream without dates. It is measured once for each load of the stream, because the
	 * end of a playlist moves in steps of a segment and would make the tile waver.
	 */
	#anchor: number | null = null;

	constructor(video: Video, readTimes: ReadTimes) {
		this.#video = video;
		this.#readTimes = readTimes;
	}

	/** Before a (re)load, after which media times count anew. */
	reset(): void {
		this.#anchor = null;
	}

	/** Null while nothing is known. `isClockPlausible`: whether the dates of the playlist can be dates of now. */
	read(now: number, isClockPlausible: boolean): ProgrammePosition | null {
		const times = this.#readTimes();
		if (!times) return null;
		const { playingDate, latency, start, edge, live, step } = times;
		const position = this.#video.currentTime;
		const usesClock = playingDate !== null && isClockPlausible;
		if (!usesClock) this.#anchor ??= now - (latency + position) * 1_000;
		const origin = usesClock ? playingDate - position * 1_000 : (this.#anchor ?? 0);
		const dateAt = (seconds: number) => origin + seconds * 1_000;
		return {
			date: dateAt(position),
			earliest: dateAt(Math.min(edge, start + WINDOW_MARGIN_SECONDS)),
			edge: dateAt(edge),
			latest: dateAt(edge - step),
			live: dateAt(live),
			basis: usesClock ? 'clock' : 'playlist',
		};
	}
}
