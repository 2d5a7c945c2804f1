import type { Quality } from './quality';

export type Phase =
	/** A playlist is loading and nothing is on screen yet. */
	| 'loading'
	| 'playing'
	| 'paused'
	/** Playback has started and waits for media. */
	| 'buffering'
	/** All recovery steps have failed; the playlist is reloaded on a timer. */
	| 'down';

/** `live` only while frames come at the live edge; `behind`: frames come, but from further back than necessary. */
export type LiveEdgeState = 'live' | 'behind' | 'stalled' | 'paused';

export interface PlaybackFailure {
	message: string;
	/** False if the request got no response at all: the network or the edge failed, not the sources. */
	answered: boolean;
	since: number;
	/** When the next reload is (milliseconds since the epoch), while `phase` is `down`; else null. */
	retryAt: number | null;
}

export interface MediaTrack {
	id: number;
	label: string;
}

/** Everything that a tile shows of its player. Every change creates a new object. */
export interface PlayerView {
	phase: Phase;
	muted: boolean;
	volume: number;
	/** The browser's autoplay policy allowed playback only without sound. */
	soundBlocked: boolean;
	/** The browser's autoplay policy refused playback, even muted. */
	playBlocked: boolean;
	qualities: Quality[];
	/** The level that the viewer selected, -1 for automatic. */
	selectedLevel: number;
	/** The level on screen. */
	currentLevel: number;
	audioTracks: MediaTrack[];
	audioTrack: number;
	captionTracks: MediaTrack[];
	captionTrack: number;
	/** Null before the first frame, and while the stream is not live. */
	liveEdge: LiveEdgeState | null;
	/** Seconds between the moment that the picture shows and now; null while `liveEdge` is null. */
	latency: number | null;
	/** What `latency` is measured with: programme dates, or the end of the playlist. */
	latencyBasis: 'clock' | 'playlist';
	/** Seconds without a new frame while `liveEdge` is `stalled`; else 0. */
	stalledSeconds: number;
	/** Non-fatal errors since media last arrived; hls.js recovers from them by itself. */
	minorErrors: number;
	failure: PlaybackFailure | null;
}

export const initialView: PlayerView = {
	phase: 'loading',
	muted: false,
	volume: 1,
	soundBlocked: false,
	playBlocked: false,
	qualities: [],
	selectedLevel: -1,
	currentLevel: -1,
	audioTracks: [],
	audioTrack: -1,
	captionTracks: [],
	captionTrack: -1,
	liveEdge: null,
	latency: null,
	latencyBasis: 'playlist',
	stalledSeconds: 0,
	minorErrors: 0,
	failure: null,
};
