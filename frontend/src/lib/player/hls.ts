import type Hls from 'hls.js';

let loading: Promise<typeof Hls | null> | null = null;

/** hls.js where it can run, null where the browser plays HLS itself, and an error where neither is so. */
export function loadHls(): Promise<typeof Hls | null> {
	loading ??= import('hls.js').then(({ default: found }) => {
		// hls.js first: some browsers claim native HLS and play it badly.
		if (found.isSupported()) return found;
		if (document.createElement('video').canPlayType('application/vnd.apple.mpegurl')) return null;
		throw new Error('This browser cannot play HLS: it has no Media Source Extensions.');
	});
	return loading;
}
