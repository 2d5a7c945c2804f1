import { t } from '$lib/i18n/texts';
import type Hls from 'hls.js';

/** hls.js, and where the script of its worker is. */
export interface LoadedHls {
	Hls: typeof Hls;
	workerPath: string;
}

let loading: Promise<LoadedHls | null> | null = null;

/** Resolves to hls.js, or to null where only the browser's native HLS works; rejects where neither does. */
export function loadHls(): Promise<LoadedHls | null> {
	loading ??= import('./hls').then(({ default: HlsClass, workerPath }) => {
		// hls.js is preferred: some browsers report native HLS support and play it badly.
		if (HlsClass.isSupported()) return { Hls: HlsClass, workerPath };
		if (document.createElement('video').canPlayType('application/vnd.apple.mpegurl')) return null;
		throw new Error(t('noMse'));
	});
	return loading;
}
