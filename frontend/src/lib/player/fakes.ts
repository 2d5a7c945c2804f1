import Hls from 'hls.js';

type Handler = (event: string, data: unknown) => void;

/** A stand-in for hls.js that does nothing by itself: tests emit its events and read the recorded `calls`. */
export class FakeHls {
	static readonly Events = Hls.Events;
	static instances: FakeHls[] = [];

	readonly calls: string[] = [];
	readonly levels: unknown[] = [];
	nextLevel = -1;
	latency = 6;
	playingDate: Date | null = null;
	targetLatency = 6;
	liveSyncPosition: number | null = 100;
	latestLevelDetails: object | null = {
		...{ live: true, fragments: [{}], fragmentStart: 0, edge: 106, targetduration: 2 },
	};
	lowLatencyMode = false;
	#handlers = new Map<string, Handler[]>();

	constructor() {
		FakeHls.instances.push(this);
	}

	on(event: string, handler: Handler) {
		this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler]);
	}

	emit(event: string, data: unknown = {}) {
		this.#handlers.get(event)?.forEach((handler) => handler(event, data));
	}

	loadSource(url: string) {
		this.calls.push(`loadSource ${url}`);
	}

	attachMedia() {
		this.calls.push('attachMedia');
	}

	startLoad() {
		this.calls.push('startLoad');
	}

	recoverMediaError() {
		this.calls.push('recoverMediaError');
	}

	destroy() {
		this.calls.push('destroy');
	}
}

/** The part of a video element that `Player` uses. `autoplayPolicy` is what the browser allows without a tap. */
export class FakeVideo extends EventTarget {
	paused = true;
	muted = false;
	volume = 1;
	currentTime = 0;
	videoWidth = 640;
	src = '';
	duration = Number.POSITIVE_INFINITY;
	/** What the browser holds of a playlist that it plays itself. */
	held = { start: 0, end: 0 };
	startDate: Date | null = null;
	readonly seekable: TimeRanges;
	constructor(public autoplayPolicy: 'sound' | 'muted' | 'never' = 'sound') {
		super();
		const { held } = this;
		this.seekable = {
			get length() {
				return held.end > held.start ? 1 : 0;
			},
			start: () => held.start,
			end: () => held.end,
		};
	}

	getStartDate(): Date {
		return this.startDate ?? new Date(Number.NaN);
	}

	async play() {
		if (this.autoplayPolicy === 'never' || (this.autoplayPolicy === 'muted' && !this.muted)) {
			throw new DOMException('not allowed', 'NotAllowedError');
		}
		this.paused = false;
	}

	pause() {
		this.paused = true;
		this.dispatchEvent(new Event('pause'));
	}

	removeAttribute() {}
	load() {}
}
