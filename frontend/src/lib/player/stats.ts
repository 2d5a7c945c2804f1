import type Hls from 'hls.js';
import { bitrateLabel } from './quality';
import type { View } from './view';

/** Label and value, in the order the overlay lists them. */
export type Stats = [label: string, value: string][];

/** The numbers behind the picture, for whoever presses `i`. */
export function statsOf(video: HTMLVideoElement, hls: Hls | null, view: View): Stats {
	const level = hls?.levels[view.showing];
	const frames = video.getVideoPlaybackQuality?.();
	const parts = hls?.lowLatencyMode ? 'low latency' : 'segments';
	return [
		['Picture', video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–'],
		['Level', level ? `${bitrateLabel(level.bitrate)}, ${view.quality < 0 ? 'auto' : 'chosen'}` : '–'],
		['Codecs', [level?.videoCodec, level?.audioCodec].filter(Boolean).join(', ') || '–'],
		['Bandwidth', hls ? bitrateLabel(hls.bandwidthEstimate) || '–' : '–'],
		['Buffer', `${bufferAhead(video).toFixed(1)} s`],
		[
			'Latency',
			view.latency === null ? '–' : `${view.latency.toFixed(1)} s (aims for ${seconds(hls?.targetLatency)})`,
		],
		['Frames', frames ? `${frames.totalVideoFrames}, ${frames.droppedVideoFrames} dropped` : '–'],
		['Mode', hls ? `hls.js, ${parts}` : 'browser'],
		['State', view.trouble ? `${view.phase}: ${view.trouble.what}` : view.phase],
	];
}

function bufferAhead({ buffered, currentTime }: HTMLVideoElement): number {
	for (let i = 0; i < buffered.length; i += 1) {
		if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i))
			return buffered.end(i) - currentTime;
	}
	return 0;
}

function seconds(value: number | null | undefined): string {
	return value === null || value === undefined ? '–' : `${value.toFixed(1)} s`;
}
