import { serverClock } from '$lib/time/clock';
import type Hls from 'hls.js';
import type { ErrorData, HlsConfig } from 'hls.js';
import { LiveDistance } from './distance';
import { faultOf, isUnanswered, wordsFor } from './fault';
import { FrameWatch } from './frames';
import { Ladder, type Fault, type Step } from './ladder';
import { qualitiesOf, sameQuality, type Quality } from './quality';
import { StallWatch } from './stall';
import { statsOf, type Stats } from './stats';
import { initialView, type View } from './view';

const BEAT = 500;
/** Seconds past the intended latency that still count as live. */
const LIVE_SLACK = 4;

export interface PlayerOptions {
	/** The tile this player belongs to. Handlers find it by this, never by position. */
	id: string;
	video: HTMLVideoElement;
	/** hls.js, or null where only the browser's own HLS can play. */
	Hls: typeof Hls | null;
	config?: Partial<HlsConfig>;
	audible: boolean;
	volume?: number;
	onview: (view: View) => void;
	/** Media got no answer at all, or came again after a failure. */
	onanswer?: (answered: boolean) => void;
}

/** One tile's playback: a video element, an hls.js that lives as long as the tile, and the error ladder. */
export class Player {
	readonly id: string;
	readonly video: HTMLVideoElement;
	view: View;

	readonly #Hls: typeof Hls | null;
	readonly #hls: Hls | null;
	readonly #onview: (view: View) => void;
	readonly #onanswer: (answered: boolean) => void;
	readonly #ladder = new Ladder();
	readonly #stall = new StallWatch();
	readonly #frames: FrameWatch;
	readonly #distance = new LiveDistance();
	readonly #listening = new AbortController();
	readonly #beat: ReturnType<typeof setInterval>;
	#pending: ReturnType<typeof setTimeout> | undefined;
	/** Whether what is pending is a reload. */
	#reloads = false;

	#url: string | null = null;
	#wantsPlay = true;
	#isLive = false;
	/** From a (re)load until it plays: pauses in between are the element's own doing. */
	#opening = false;
	#audible: boolean;
	#silenced = false;
	#chosen: Quality | null = null;

	constructor({ id, video, Hls, config, audible, volume = 1, onview, onanswer }: PlayerOptions) {
		this.id = id;
		this.video = video;
		this.#Hls = Hls;
		this.#onview = onview;
		this.#onanswer = onanswer ?? (() => {});
		this.#frames = new FrameWatch(video);
		this.#audible = audible;
		video.volume = volume;
		video.muted = !audible;
		this.view = { ...initialView, muted: !audible, volume };
		this.#hls = Hls ? new Hls(config) : null;
		this.#listenToVideo();
		this.#listenToHls();
		this.#hls?.attachMedia(video);
		this.#beat = setInterval(() => this.#onBeat(), BEAT);
	}

	// What a tile asks for

	/** Plays this playlist; the same one again is no news. */
	load(url: string): void {
		if (url === this.#url) return;
		this.#url = url;
		this.#wantsPlay = true;
		this.#ladder.reset();
		this.#isLive = false;
		this.#frames.reset();
		this.#distance.reset();
		this.#show({
			...initialView,
			muted: this.view.muted,
			volume: this.view.volume,
			soundBlocked: this.view.soundBlocked,
		});
		this.#open();
	}

	/** Tries now instead of waiting for the timer. */
	retry(): void {
		if (!this.#url) return;
		this.#ladder.reset();
		this.#open();
	}

	play(): void {
		this.#wantsPlay = true;
		this.#show({ playBlocked: false });
		void this.#begin();
	}

	pause(): void {
		this.#wantsPlay = false;
		this.video.pause();
		this.#show({ phase: 'paused' });
	}

	toggle(): void {
		if (this.video.paused) this.play();
		else this.pause();
	}

	/** Whether this is the tile that is heard. */
	setAudible(audible: boolean): void {
		if (audible === this.#audible) return;
		this.#audible = audible;
		if (audible) this.#silenced = false;
		this.#applySound();
	}

	setMuted(muted: boolean): void {
		this.#silenced = muted;
		this.#applySound();
	}

	setVolume(volume: number): void {
		this.video.volume = Math.min(1, Math.max(0, volume));
		if (this.#audible) this.setMuted(this.video.volume === 0);
	}

	/** A level's index, or -1 for automatic. */
	setQuality(level: number): void {
		this.#chosen = this.view.qualities.find((quality) => quality.level === level) ?? null;
		if (this.#hls) this.#hls.nextLevel = this.#chosen ? level : -1;
		this.#show({ quality: this.#chosen ? level : -1 });
	}

	setAudioTrack(id: number): void {
		if (this.#hls) this.#hls.audioTrack = id;
		this.#show({ audioTrack: id });
	}

	/** A track's id, or -1 for none. */
	setCaptionTrack(id: number): void {
		if (!this.#hls) return;
		this.#hls.subtitleDisplay = id >= 0;
		this.#hls.subtitleTrack = id;
		this.#show({ captionTrack: id });
	}

	goLive(): void {
		const edge = this.#liveEdge();
		if (edge !== null) this.video.currentTime = edge;
		this.play();
	}

	stats(): Stats {
		return statsOf(this.video, this.#hls, this.view);
	}

	destroy(): void {
		clearInterval(this.#beat);
		this.#frames.stop();
		clearTimeout(this.#pending);
		this.#listening.abort();
		this.#hls?.destroy();
		this.video.removeAttribute('src');
		this.video.load();
	}

	// Opening and beginning

	#open(): void {
		if (!this.#url) return;
		clearTimeout(this.#pending);
		this.#reloads = false;
		this.#opening = true;
		this.#stall.reset();
		// Down stays down until media arrives; a try alone is no recovery.
		if (this.view.phase !== 'down') this.#show({ phase: this.#wantsPlay ? 'loading' : 'paused' });
		if (this.#hls) this.#hls.loadSource(this.#url);
		else this.video.src = this.#url;
		if (this.#wantsPlay) void this.#begin();
	}

	/** With sound first; without when the browser insists; and if even that is refused, on a tap. */
	async #begin(): Promise<void> {
		if (await this.#tryPlay()) return;
		if (!this.video.muted) {
			this.video.muted = true;
			this.#show({ soundBlocked: true, muted: true });
			if (await this.#tryPlay()) return;
		}
		this.#show({ playBlocked: true, phase: 'paused' });
	}

	/** False only when the browser's autoplay policy refused. */
	async #tryPlay(): Promise<boolean> {
		try {
			await this.video.play();
			this.#show({ playBlocked: false });
		} catch (cause) {
			// AbortError: a newer load took over, and it begins by itself.
			return !(cause instanceof DOMException && cause.name === 'NotAllowedError');
		}
		return true;
	}

	#applySound(): void {
		this.video.muted = !this.#audible || this.#silenced;
		this.#show({ muted: this.video.muted, volume: this.video.volume, soundBlocked: false });
	}

	// What the element tells

	#listenToVideo(): void {
		const on = (type: string, handler: () => void) =>
			this.video.addEventListener(type, handler, { signal: this.#listening.signal });
		on('playing', () => {
			this.#opening = false;
			this.#wantsPlay = true;
			this.#show({ phase: 'playing', ...(this.#hls ? {} : { trouble: null }) });
		});
		on('waiting', () => {
			if (this.view.phase === 'playing') this.#show({ phase: 'buffering' });
		});
		on('pause', () => {
			if (this.#opening) return;
			// Media keys and picture-in-picture pause without asking us; that is the viewer's wish too.
			this.#wantsPlay = false;
			this.#show({ phase: 'paused' });
		});
		on('volumechange', () => this.#show({ muted: this.video.muted, volume: this.video.volume }));
		on('error', () => {
			if (!this.#hls && this.video.error)
				this.#climb({ kind: 'network', manifest: true }, 'The stream cannot be played');
		});
	}

	// What hls.js tells

	#listenToHls(): void {
		const hls = this.#hls;
		if (!hls || !this.#Hls) return;
		const { Events } = this.#Hls;

		hls.on(Events.MANIFEST_PARSED, (_, { levels }) => {
			const qualities = qualitiesOf(levels);
			const quality = sameQuality(this.#chosen, qualities);
			if (quality >= 0) hls.nextLevel = quality;
			this.#show({ qualities, quality });
			// Attaching anew pauses the element.
			if (this.#wantsPlay && this.video.paused) void this.#begin();
		});
		hls.on(Events.LEVEL_SWITCHED, (_, { level }) => this.#show({ showing: level }));
		hls.on(Events.LEVEL_LOADED, (_, { details }) => {
			if (details.partList?.length && !hls.lowLatencyMode) hls.lowLatencyMode = true;
		});
		hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
			const last = details.fragments.at(-1);
			if (!details.advanced || !last) return;
			const newest = last.programDateTime === null ? null : last.programDateTime + last.duration * 1_000;
			this.#distance.onGrowth(newest, serverClock.now());
		});
		hls.on(Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => {
			this.#show({
				audio: audioTracks.map(({ name, lang }, id) => ({ id, label: name || lang || `Track ${id + 1}` })),
			});
		});
		hls.on(Events.AUDIO_TRACK_SWITCHED, () => this.#show({ audioTrack: hls.audioTrack }));
		hls.on(Events.SUBTITLE_TRACKS_UPDATED, (_, { subtitleTracks }) => {
			this.#show({
				captions: subtitleTracks.map(({ name, lang }, id) => ({
					id,
					label: name || lang || `Track ${id + 1}`,
				})),
				captionTrack: hls.subtitleDisplay ? hls.subtitleTrack : -1,
			});
		});
		hls.on(Events.FRAG_BUFFERED, () => {
			this.#ladder.flowing(Date.now());
			if (this.view.trouble || this.view.hiccups) {
				this.#onanswer(true);
				this.#show({ trouble: null, hiccups: 0 });
			}
			if (this.view.phase === 'down') this.#show({ phase: 'loading' });
		});
		hls.on(Events.ERROR, (_, data) => this.#onError(data));
	}

	#onError(data: ErrorData): void {
		if (isUnanswered(data)) this.#onanswer(false);
		const fault = faultOf(data);
		// Picture, sound and every other level are gone together, and a reload is for all of them.
		if (fault?.kind === 'gone' && this.#reloads) return;
		if (fault) this.#climb(fault, wordsFor(data), !isUnanswered(data));
		else this.#show({ hiccups: this.view.hiccups + 1 });
	}

	// The ladder

	#climb(fault: Fault, what: string, answered = true): void {
		this.#take(this.#ladder.fault(fault, Date.now()), what, answered);
	}

	#take(step: Step, what: string, answered: boolean): void {
		clearTimeout(this.#pending);
		this.#reloads = step.do === 'next-source' || step.do === 'all-down';
		const now = Date.now();
		const since = this.view.trouble?.since ?? now;
		const down = step.do === 'all-down';
		this.#show({
			trouble: { what, answered, since, retryAt: down ? now + step.after : null },
			...(down ? { phase: 'down' as const } : {}),
		});
		switch (step.do) {
			case 'recover-media':
				this.#opening = true;
				this.#hls?.recoverMediaError();
				if (this.#wantsPlay) void this.#begin();
				return;
			case 'start-load':
				this.#pending = setTimeout(() => this.#hls?.startLoad(), step.after);
				return;
			case 'jump-to-live': {
				const edge = this.#liveEdge();
				if (edge !== null) this.video.currentTime = edge;
				return;
			}
			case 'next-source':
			case 'all-down':
				this.#pending = setTimeout(() => this.#open(), step.after);
		}
	}

	#onBeat(): void {
		if (!this.#url) return;
		const now = Date.now();
		const expected = this.#wantsPlay && !this.view.playBlocked && this.view.phase !== 'down';
		switch (this.#stall.beat(this.video.currentTime, expected, now)) {
			case 'stalled':
				this.#climb({ kind: 'stalled' }, 'The picture stands still');
				break;
			case 'moving':
				this.#ladder.flowing(now);
				if (this.view.phase === 'buffering') this.#show({ phase: 'playing' });
		}
		this.#showEdge(now);
	}

	#showEdge(now: number): void {
		const hidden = typeof document !== 'undefined' && document.visibilityState === 'hidden';
		this.#frames.beat(now, hidden);
		const hls = this.#hls;
		// A reload has no playlist for a while; what was live still is.
		const playlist = hls?.latestLevelDetails;
		if (playlist) this.#isLive = playlist.live;
		if (!hls || !this.#isLive || !this.#frames.seen)
			return this.#show({ edge: null, latency: null, stalledFor: 0 });

		const still = this.#frames.stillFor(now);
		const paused = !this.#wantsPlay || this.view.phase === 'paused';
		const moves = !paused && still === 0;
		if (moves && !playlist) return;
		const { seconds, by } = this.#distance.at(
			serverClock.now(),
			hls.playingDate?.getTime() ?? null,
			hls.latency,
			moves,
		);
		const atLive = hls.latency <= (hls.targetLatency ?? 0) + LIVE_SLACK;
		this.#show({
			edge: paused ? 'paused' : still > 0 ? 'stalled' : atLive ? 'live' : 'behind',
			latency: Math.round(seconds * 10) / 10,
			latencyBy: by,
			stalledFor: paused ? 0 : Math.floor(still / 1_000),
		});
	}

	#liveEdge(): number | null {
		if (this.#hls) return this.#hls.liveSyncPosition;
		const { seekable } = this.video;
		return seekable.length ? seekable.end(seekable.length - 1) : null;
	}

	#show(change: Partial<View>): void {
		const keys = Object.keys(change) as (keyof View)[];
		if (keys.every((key) => this.view[key] === change[key])) return;
		this.view = { ...this.view, ...change };
		this.#onview(this.view);
	}
}
