import type Hls from 'hls.js';

/** Where a player is in what its playlist holds. Media times in seconds, dates in milliseconds since the epoch. */
export interface MediaTimes {
	isLive: boolean;
	/** The date of the frame on screen; null where the stream has no dates. */
	playingDate: number | null;
	/** The range of media times that the playlist holds. */
	start: number;
	edge: number;
	/** Where the player wants to be at the live edge. */
	live: number;
	/** Nearer to the edge than this, playback starves at once. */
	step: number;
	/** Seconds between the frame on screen and the edge, and what they should be. */
	latency: number;
	targetLatency: number;
}

/** The media times of a player; null while there is no playlist. */
export type ReadTimes = () => MediaTimes | null;

type HlsTimes = Pick<
	Hls,
	'playingDate' | 'latency' | 'targetLatency' | 'latestLevelDetails' | 'liveSyncPosition' | 'lowLatencyMode'
>;

export function hlsTimes(hls: HlsTimes): ReadTimes {
	return () => {
		const details = hls.latestLevelDetails;
		if (!details || details.fragments.length === 0) return null;
		const { edge, fragmentStart, partTarget, targetduration, live } = details;
		const step = (hls.lowLatencyMode && partTarget) || targetduration;
		return {
			isLive: live,
			playingDate: hls.playingDate?.getTime() ?? null,
			start: fragmentStart,
			edge,
			live: hls.liveSyncPosition ?? edge - 3 * step,
			step,
			latency: hls.latency,
			targetLatency: hls.targetLatency ?? 0,
		};
	};
}

/** The part of WebKit's video element that tells of a playlist which the browser itself plays. */
export type NativeVideo = Pick<HTMLVideoElement, 'currentTime' | 'duration' | 'seekable'> & {
	/** The date of media time 0, an invalid one where the stream has no dates. */
	getStartDate?(): Date;
};

/** The end of `seekable` is where the browser lets a viewer be at the live edge; at the very end it starves. */
const NATIVE_STEP_SECONDS = 1;
const NATIVE_LATENCY_SECONDS = 2;

export function nativeTimes(video: NativeVideo): ReadTimes {
	return () => {
		const { seekable, currentTime, duration } = video;
		if (seekable.length === 0) return null;
		const [start, edge] = [seekable.start(0), seekable.end(seekable.length - 1)];
		const startDate = video.getStartDate?.().getTime() ?? Number.NaN;
		return {
			isLive: duration === Number.POSITIVE_INFINITY,
			playingDate: Number.isNaN(startDate) ? null : startDate + currentTime * 1_000,
			start,
			edge,
			live: Math.max(start, edge - NATIVE_LATENCY_SECONDS),
			step: NATIVE_STEP_SECONDS,
			latency: Math.max(0, edge - currentTime),
			targetLatency: NATIVE_LATENCY_SECONDS,
		};
	};
}
