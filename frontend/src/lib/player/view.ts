import type { Quality } from './quality';

export type Phase =
	/** Nothing on screen yet. */
	| 'loading'
	| 'playing'
	| 'paused'
	/** Was playing, waits for media. */
	| 'buffering'
	/** Every source was tried; retrying on a timer. */
	| 'down';

/** `live` only while pictures come; `behind` is playing further back than need be. */
export type Edge = 'live' | 'behind' | 'stalled' | 'paused';

export interface Trouble {
	what: string;
	/** False when nothing came back at all: that is the network's or the edge's, and not the sources'. */
	answered: boolean;
	since: number;
	/** When the next try is, while `phase` is `down`. */
	retryAt: number | null;
}

export interface Track {
	id: number;
	label: string;
}

/** All a tile shows of its player: a new object for every change. */
export interface View {
	phase: Phase;
	muted: boolean;
	volume: number;
	/** The browser let it play only without sound. */
	soundBlocked: boolean;
	/** The browser did not let it play at all. */
	playBlocked: boolean;
	qualities: Quality[];
	/** The chosen level, -1 for automatic. */
	quality: number;
	/** The level on screen. */
	showing: number;
	audio: Track[];
	audioTrack: number;
	captions: Track[];
	captionTrack: number;
	/** Where the picture stands; null before the first one, and where nothing is live. */
	edge: Edge | null;
	/** Seconds from the picture to now. */
	latency: number | null;
	/** What `latency` is measured with. */
	latencyBy: 'clock' | 'playlist';
	/** Seconds without a new picture, while `edge` is `stalled`. */
	stalledFor: number;
	/** Small faults since the last good media; hls.js deals with them. */
	hiccups: number;
	trouble: Trouble | null;
}

export const initialView: View = {
	phase: 'loading',
	muted: false,
	volume: 1,
	soundBlocked: false,
	playBlocked: false,
	qualities: [],
	quality: -1,
	showing: -1,
	audio: [],
	audioTrack: -1,
	captions: [],
	captionTrack: -1,
	edge: null,
	latency: null,
	latencyBy: 'playlist',
	stalledFor: 0,
	hiccups: 0,
	trouble: null,
};
