import type Hls from 'hls.js';

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
type HlsTime = Pick<
	Hls,
	'playingDate' | 'latency' | 'latestLevelDetails' | 'liveSyncPosition' | 'lowLatencyMode'
>;

/** The first second of a playlist may leave it before a seek has arrived there. */
const WINDOW_MARGIN_SECONDS = 2;

/** Tells dates from media times. */
export class ProgrammeTime {
	readonly #video: Video;
	readonly #hls: HlsTime;
	/**
	 * The date of media time 0 of a stream without dates. It is measured once for each load of the stream, because the
	 * end of a playlist moves in steps of a segment and would make the tile waver.
	 */
	#anchor: number | null = null;

	constructor(video: Video, hls: HlsTime) {
		this.#video = video;
		this.#hls = hls;
	}

	/** Before a (re)load, after which media times count anew. */
	reset(): void {
		this.#anchor = null;
	}

	/** Null while nothing is known. `isClockPlausible`: whether the dates of the playlist can be dates of now. */
	read(now: number, isClockPlausible: boolean): ProgrammePosition | null {
		const { playingDate, latestLevelDetails: details } = this.#hls;
		if (!details || details.fragments.length === 0) return null;
		const position = this.#video.currentTime;
		const usesClock = playingDate !== null && isClockPlausible;
		if (!usesClock) this.#anchor ??= now - (this.#hls.latency + position) * 1_000;
		const origin = usesClock ? playingDate.getTime() - position * 1_000 : (this.#anchor ?? 0);
		const dateAt = (seconds: number) => origin + seconds * 1_000;
		const { edge, fragmentStart, partTarget, targetduration } = details;
		const step = (this.#hls.lowLatencyMode && partTarget) || targetduration;
		return {
			date: dateAt(position),
			earliest: dateAt(Math.min(edge, fragmentStart + WINDOW_MARGIN_SECONDS)),
			edge: dateAt(edge),
			latest: dateAt(edge - step),
			live: dateAt(this.#hls.liveSyncPosition ?? edge - 3 * step),
			basis: usesClock ? 'clock' : 'playlist',
		};
	}
}
