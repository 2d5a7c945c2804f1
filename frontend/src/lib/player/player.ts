import { t } from '$lib/i18n/texts';
import { serverClock } from '$lib/time/clock';
import type Hls from 'hls.js';
import type { ErrorData, HlsConfig } from 'hls.js';
import { bufferingReason } from './buffering-reason';
import { LiveLatencyTracker } from './live-latency';
import { classifyError, isUnanswered, describeError } from './hls-errors';
import { FrameMonitor } from './frame-monitor';
import { RecoveryPolicy, type PlaybackFault, type RecoveryStep } from './recovery-policy';
import { toQualities, findMatchingLevel, type QualityChoice } from './quality';
import { hlsTimes, nativeTimes, type ReadTimes } from './media-times';
import { ProgrammeTime, type ProgrammePosition } from './programme-time';
import { StallDetector } from './stall-detector';
import { collectStats, type Stats } from './stats';
import { initialView, type PlayerView } from './player-view';

const TICK_INTERVAL_MS = 500;
/** Seconds beyond the target latency that still count as live. */
const LIVE_TOLERANCE_SECONDS = 4;

/** A seek to a place further behind the live edge means that the viewer wants to be there. */
const WENT_BACK_SECONDS = 10;
/** How far a stalled player goes on that must not go to the live edge. */
const HOLE_SECONDS = 2;

export interface PlayerOptions {
	/** Id of the tile that this player belongs to. */
	id: string;
	video: HTMLVideoElement;
	/** The class of hls.js, or null where only native HLS works. */
	Hls: typeof Hls | null;
	config?: Partial<HlsConfig>;
	audible: boolean;
	volume?: number;
	onview: (view: PlayerView) => void;
	/** Called with false when a request for media got no response at all, with true when media comes again. */
	onresponse?: (answered: boolean) => void;
}

/** Playback of one tile: a video element, one hls.js instance for the tile's lifetime, and a recovery policy. */
export class Player {
	readonly id: string;
	readonly video: HTMLVideoElement;
	view: PlayerView;

	readonly #Hls: typeof Hls | null;
	readonly #hls: Hls | null;
	readonly #onView: (view: PlayerView) => void;
	readonly #onResponse: (answered: boolean) => void;
	readonly #recovery = new RecoveryPolicy();
	readonly #stallDetector = new StallDetector();
	readonly #frameMonitor: FrameMonitor;
	readonly #liveLatency = new LiveLatencyTracker();
	readonly #readTimes: ReadTimes;
	readonly #programmeTime: ProgrammeTime;
	readonly #listeners = new AbortController();
	readonly #tickTimer: ReturnType<typeof setInterval>;
	#stepTimer: ReturnType<typeof setTimeout> | undefined;
	/** Whether the step that `#stepTimer` waits for is a reload. */
	#reloadPending = false;

	#url: string | null = null;
	#playRequested = true;
	#wentBack = false;
	/** How long the edge waited for the source of the last response, as far as it says. */
	#originSeconds: number | null = null;
	/** The id of the request for the last playlist, by which the edge logs it. */
	#requestId: string | null = null;
	#isLive = false;
	/** True from a (re)load until playback starts: pause events in between come from the element, not the viewer. */
	#isOpening = false;
	#audible: boolean;
	#mutedByViewer = false;
	#selectedQuality: QualityChoice | null = null;

	constructor({ id, video, Hls, config, audible, volume = 1, onview, onresponse }: PlayerOptions) {
		this.id = id;
		this.video = video;
		this.#Hls = Hls;
		this.#onView = onview;
		this.#onResponse = onresponse ?? (() => {});
		this.#frameMonitor = new FrameMonitor(video);
		this.#audible = audible;
		video.volume = volume;
		video.muted = !audible;
		this.view = { ...initialView, muted: !audible, volume };
		this.#hls = Hls ? new Hls(config) : null;
		this.#readTimes = this.#hls ? hlsTimes(this.#hls) : nativeTimes(video);
		this.#programmeTime = new ProgrammeTime(video, this.#readTimes);
		this.#listenToVideo();
		this.#listenToHls();
		this.#hls?.attachMedia(video);
		this.#tickTimer = setInterval(() => this.#tick(), TICK_INTERVAL_MS);
	}

	// Commands of the tile

	/** Plays this multivariant playlist in a quality, null for automatic; does nothing if it is loaded already. */
	load(url: string, quality: QualityChoice | null = null): void {
		if (url === this.#url) return;
		this.#url = url;
		this.#selectedQuality = quality;
		this.#playRequested = true;
		this.#recovery.reset();
		this.#isLive = false;
		this.#frameMonitor.reset();
		this.#liveLatency.reset();
		this.#updateView({
			...initialView,
			muted: this.view.muted,
			volume: this.view.volume,
			soundBlocked: this.view.soundBlocked,
		});
		this.#openPlaylist();
	}

	/** Reloads the playlist now instead of waiting for the timer. */
	retry(): void {
		if (!this.#url) return;
		this.#recovery.reset();
		this.#openPlaylist();
	}

	play(): void {
		this.#playRequested = true;
		this.#updateView({ playBlocked: false });
		void this.#startPlayback();
	}

	pause(): void {
		this.#playRequested = false;
		this.video.pause();
		this.#updateView({ phase: 'paused' });
	}

	toggle(): void {
		if (this.video.paused) this.play();
		else this.pause();
	}

	/** Sets whether this is the audible tile; every other tile of the wall is muted. */
	setAudible(audible: boolean): void {
		if (audible === this.#audible) return;
		this.#audible = audible;
		if (audible) this.#mutedByViewer = false;
		this.#applySound();
	}

	setMuted(muted: boolean): void {
		this.#mutedByViewer = muted;
		this.#applySound();
	}

	setVolume(volume: number): void {
		this.video.volume = Math.min(1, Math.max(0, volume));
		if (this.#audible) this.setMuted(this.video.volume === 0);
	}

	/** `level`: an index in hls.js's list of levels, or -1 for automatic. */
	setQuality(level: number): void {
		this.#selectedQuality = this.view.qualities.find((quality) => quality.level === level) ?? null;
		if (this.#hls) this.#hls.nextLevel = this.#selectedQuality ? level : -1;
		this.#updateView({ selectedLevel: this.#selectedQuality ? level : -1 });
	}

	setAudioTrack(id: number): void {
		if (this.#hls) this.#hls.audioTrack = id;
		this.#updateView({ audioTrack: id });
	}

	/** `id`: that of a subtitle track, or -1 for none. */
	setCaptionTrack(id: number): void {
		if (!this.#hls) return;
		this.#hls.subtitleDisplay = id >= 0;
		this.#hls.subtitleTrack = id;
		this.#updateView({ captionTrack: id });
	}

	goLive(): void {
		const liveEdge = this.#liveEdgePosition();
		if (liveEdge !== null) this.video.currentTime = liveEdge;
		this.play();
	}

	/** Where the player is in its programme; null before the first frame. */
	position(): ProgrammePosition | null {
		if (!this.#frameMonitor.hasFrame) return null;
		return this.#programmeTime.read(serverClock.now(), this.#liveLatency.isClockPlausible);
	}

	/** Whether frames come now. */
	get isMoving(): boolean {
		const { phase } = this.view;
		const { paused, seeking, readyState } = this.video;
		const isHeld = paused || seeking || readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
		return phase === 'playing' && !isHeld && this.#frameMonitor.frozenForMs(Date.now()) === 0;
	}

	/** Seeks by seconds, and stays in what the playlist holds. */
	seekBy(seconds: number): void {
		const times = this.#readTimes();
		const target = this.video.currentTime + seconds;
		this.#wentBack = (this.#liveEdgePosition() ?? 0) - target > WENT_BACK_SECONDS;
		this.video.currentTime = times
			? Math.min(Math.max(target, times.start), Math.max(times.edge - 0.5, times.start))
			: target;
	}

	/** Near 1: the browser keeps the pitch. */
	setRate(rate: number): void {
		if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
	}

	/** Why the tile waits for media. `outage`: what is known of the viewer's own connection. */
	bufferingReason(outage: string | null): string {
		const hls = this.#hls;
		const details = hls?.latestLevelDetails;
		return bufferingReason({
			outage,
			bandwidth: hls?.bandwidthEstimate || null,
			bitrate: hls?.levels[this.view.currentLevel]?.bitrate ?? null,
			unplayed: details ? details.edge - this.video.currentTime : Infinity,
			originSeconds: this.#originSeconds,
			playlistAge: details?.age ?? 0,
			targetDuration: details?.targetduration ?? Infinity,
		});
	}

	stats(): Stats {
		return collectStats(this.video, this.#hls, this.view, this.#requestId);
	}

	destroy(): void {
		clearInterval(this.#tickTimer);
		this.#frameMonitor.stop();
		clearTimeout(this.#stepTimer);
		this.#listeners.abort();
		this.#hls?.destroy();
		this.video.removeAttribute('src');
		this.video.load();
	}

	// Loading a playlist and starting playback

	#openPlaylist(): void {
		if (!this.#url) return;
		clearTimeout(this.#stepTimer);
		this.#reloadPending = false;
		this.#isOpening = true;
		this.#wentBack = false;
		this.#stallDetector.reset();
		this.#programmeTime.reset();
		// The phase `down` lasts until media arrives, so that the tile does not flicker with every retry.
		if (this.view.phase !== 'down') this.#updateView({ phase: this.#playRequested ? 'loading' : 'paused' });
		if (this.#hls) this.#hls.loadSource(this.#url);
		else this.video.src = this.#url;
		if (this.#playRequested) void this.#startPlayback();
	}

	/** Starts playback with sound, or muted if the browser refuses that, or else leaves it to a tap of the viewer. */
	async #startPlayback(): Promise<void> {
		if (await this.#tryPlay()) return;
		if (!this.video.muted) {
			this.video.muted = true;
			this.#updateView({ soundBlocked: true, muted: true });
			if (await this.#tryPlay()) return;
		}
		this.#updateView({ playBlocked: true, phase: 'paused' });
	}

	/** Resolves to false only if the browser's autoplay policy refused playback. */
	async #tryPlay(): Promise<boolean> {
		try {
			await this.video.play();
			this.#updateView({ playBlocked: false });
		} catch (cause) {
			// AbortError means that a newer load has interrupted play(); that load starts playback itself.
			return !(cause instanceof DOMException && cause.name === 'NotAllowedError');
		}
		return true;
	}

	#applySound(): void {
		this.video.muted = !this.#audible || this.#mutedByViewer;
		this.#updateView({ muted: this.video.muted, volume: this.video.volume, soundBlocked: false });
	}

	// Events of the video element

	#listenToVideo(): void {
		const on = (type: string, handler: () => void) =>
			this.video.addEventListener(type, handler, { signal: this.#listeners.signal });
		on('playing', () => {
			this.#isOpening = false;
			this.#playRequested = true;
			this.#updateView({ phase: 'playing', ...(this.#hls ? {} : { failure: null }) });
		});
		on('waiting', () => {
			if (this.view.phase === 'playing') this.#updateView({ phase: 'buffering' });
		});
		on('pause', () => {
			if (this.#isOpening) return;
			// Media keys and picture-in-picture pause the element directly: the viewer wants the pause all the same.
			this.#playRequested = false;
			this.#updateView({ phase: 'paused' });
		});
		on('volumechange', () => this.#updateView({ muted: this.video.muted, volume: this.video.volume }));
		on('error', () => {
			if (!this.#hls && this.video.error)
				this.#recover({ kind: 'network', manifest: true }, t('cannotBePlayed'));
		});
	}

	// Events of hls.js

	#listenToHls(): void {
		const hls = this.#hls;
		if (!hls || !this.#Hls) return;
		const { Events } = this.#Hls;

		hls.on(Events.MANIFEST_PARSED, (_, { levels }) => {
			const qualities = toQualities(levels);
			const quality = findMatchingLevel(this.#selectedQuality, qualities);
			if (quality >= 0) hls.nextLevel = quality;
			this.#updateView({ qualities, selectedLevel: quality });
			// Re-attaching the media source pauses the element.
			if (this.#playRequested && this.video.paused) void this.#startPlayback();
		});
		hls.on(Events.LEVEL_SWITCHED, (_, { level }) => this.#updateView({ currentLevel: level }));
		const readServerTiming = (request: unknown) => {
			const field = (request as XMLHttpRequest | null)?.getResponseHeader?.('server-timing') ?? '';
			const milliseconds = /\borigin;dur=([\d.]+)/.exec(field)?.[1];
			this.#originSeconds = milliseconds === undefined ? null : Number(milliseconds) / 1_000;
		};
		hls.on(Events.FRAG_LOADED, (_, { networkDetails }) => readServerTiming(networkDetails));
		hls.on(Events.LEVEL_LOADED, (_, { details, networkDetails }) => {
			readServerTiming(networkDetails);
			this.#requestId =
				(networkDetails as XMLHttpRequest | null)?.getResponseHeader?.('x-request-id') ?? null;
			if (details.partList?.length && !hls.lowLatencyMode) hls.lowLatencyMode = true;
		});
		hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
			const last = details.fragments.at(-1);
			if (!details.advanced || !last) return;
			const playlistEndDate =
				last.programDateTime === null ? null : last.programDateTime + last.duration * 1_000;
			this.#liveLatency.onPlaylistAdvanced(playlistEndDate, serverClock.now());
		});
		hls.on(Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => {
			this.#updateView({
				audioTracks: audioTracks.map(({ name, lang }, id) => ({
					id,
					label: name || lang || t('track', { number: id + 1 }),
				})),
			});
		});
		hls.on(Events.AUDIO_TRACK_SWITCHED, () => this.#updateView({ audioTrack: hls.audioTrack }));
		hls.on(Events.SUBTITLE_TRACKS_UPDATED, (_, { subtitleTracks }) => {
			this.#updateView({
				captionTracks: subtitleTracks.map(({ name, lang }, id) => ({
					id,
					label: name || lang || t('track', { number: id + 1 }),
				})),
				captionTrack: hls.subtitleDisplay ? hls.subtitleTrack : -1,
			});
		});
		hls.on(Events.FRAG_BUFFERED, () => {
			this.#recovery.onMediaFlowing(Date.now());
			if (this.view.failure || this.view.minorErrors) {
				this.#onResponse(true);
				this.#updateView({ failure: null, minorErrors: 0 });
			}
			if (this.view.phase === 'down') this.#updateView({ phase: 'loading' });
		});
		hls.on(Events.ERROR, (_, data) => this.#onError(data));
	}

	#onError(data: ErrorData): void {
		if (isUnanswered(data)) this.#onResponse(false);
		const fault = classifyError(data);
		// All renditions of the old source are gone together, and the pending reload serves all of them.
		if (fault?.kind === 'rendition-gone' && this.#reloadPending) return;
		if (fault) this.#recover(fault, describeError(data), !isUnanswered(data));
		else this.#updateView({ minorErrors: this.view.minorErrors + 1 });
	}

	// Recovery

	#recover(fault: PlaybackFault, message: string, answered = true): void {
		this.#runStep(this.#recovery.onFault(fault, Date.now()), message, answered);
	}

	#runStep(step: RecoveryStep, message: string, answered: boolean): void {
		clearTimeout(this.#stepTimer);
		this.#reloadPending = step.action === 'reload' || step.action === 'all-down';
		const now = Date.now();
		const since = this.view.failure?.since ?? now;
		const isDown = step.action === 'all-down';
		this.#updateView({
			failure: { message, answered, since, retryAt: isDown ? now + step.delayMs : null },
			...(isDown ? { phase: 'down' as const } : {}),
		});
		switch (step.action) {
			case 'recover-media':
				this.#isOpening = true;
				this.#hls?.recoverMediaError();
				if (this.#playRequested) void this.#startPlayback();
				return;
			case 'start-load':
				this.#stepTimer = setTimeout(() => this.#hls?.startLoad(), step.delayMs);
				return;
			case 'jump-to-live': {
				const liveEdge = this.#liveEdgePosition();
				if (liveEdge === null) return;
				// A viewer who went back in time is only taken over the hole in the stream.
				this.video.currentTime = this.#wentBack ? this.video.currentTime + HOLE_SECONDS : liveEdge;
				return;
			}
			case 'reload':
			case 'all-down':
				this.#stepTimer = setTimeout(() => this.#openPlaylist(), step.delayMs);
		}
	}

	#tick(): void {
		if (!this.#url) return;
		const now = Date.now();
		const expected = this.#playRequested && !this.view.playBlocked && this.view.phase !== 'down';
		switch (this.#stallDetector.tick(this.video.currentTime, expected, now)) {
			case 'stalled':
				this.#recover({ kind: 'stalled' }, t('pictureStill'));
				break;
			case 'moving':
				this.#recovery.onMediaFlowing(now);
				if (this.view.phase === 'buffering') this.#updateView({ phase: 'playing' });
		}
		this.#updateLiveEdge(now);
	}

	#updateLiveEdge(now: number): void {
		const hidden = typeof document !== 'undefined' && document.visibilityState === 'hidden';
		this.#frameMonitor.tick(now, hidden);
		// After a reload there is no media playlist for a while, so the last known `live` stays valid.
		const times = this.#readTimes();
		if (times) this.#isLive = times.isLive;
		if (!this.#isLive || !this.#frameMonitor.hasFrame)
			return this.#updateView({ liveEdge: null, latency: null, stalledSeconds: 0 });

		const frozenMs = this.#frameMonitor.frozenForMs(now);
		const paused = !this.#playRequested || this.view.phase === 'paused';
		const isMoving = !paused && frozenMs === 0;
		if (isMoving && !times) return;
		const { playingDate, latency, targetLatency } = times ?? {
			playingDate: null,
			latency: 0,
			targetLatency: 0,
		};
		// hls.js tells when its playlist has advanced; a browser that plays HLS itself does not.
		if (!this.#hls && playingDate !== null)
			this.#liveLatency.onPlaylistAdvanced(playingDate + latency * 1_000, serverClock.now());
		const { seconds, basis } = this.#liveLatency.measure(serverClock.now(), playingDate, latency, isMoving);
		const isAtLiveEdge = latency <= targetLatency + LIVE_TOLERANCE_SECONDS;
		this.#updateView({
			liveEdge: paused ? 'paused' : frozenMs > 0 ? 'stalled' : isAtLiveEdge ? 'live' : 'behind',
			latency: Math.round(seconds * 10) / 10,
			latencyBasis: basis,
			stalledSeconds: paused ? 0 : Math.floor(frozenMs / 1_000),
		});
	}

	#liveEdgePosition(): number | null {
		const times = this.#readTimes();
		return times?.isLive ? times.live : null;
	}

	#updateView(change: Partial<PlayerView>): void {
		const keys = Object.keys(change) as (keyof PlayerView)[];
		if (keys.every((key) => this.view[key] === change[key])) return;
		this.view = { ...this.view, ...change };
		this.#onView(this.view);
	}
}
