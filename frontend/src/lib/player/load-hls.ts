import type Hls from 'hls.js';

let loading: Promise<typeof Hls | null> | null = null;

/** Resolves to hls.js, or to null where only the browser's native HLS works; rejects where neither does. */
export function loadHls(): Promise<typeof Hls | null> {
	loading ??= import('hls.js').then(({ default: HlsClass }) => {
		// hls.js is preferred: some browsers report native HLS support and play it badly.
		if (HlsClass.isSupported()) return HlsClass;
		if (document.createElement('video').canPlayType('application/vnd.apple.mpegurl')) return null;
		throw new Error('This browser cannot play HLS: it has no Media Source Extensions.');
	});
	return loading;
}
