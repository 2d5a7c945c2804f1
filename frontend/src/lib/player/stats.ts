import type Hls from 'hls.js';
import { bitrateLabel } from './quality';
import type { PlayerView } from './player-view';

/** Labels and values in the order in which `StatsOverlay` lists them. */
export type Stats = [label: string, value: string][];

/** Technical figures of the playback, for the overlay that the key `i` opens. */
export function collectStats(video: HTMLVideoElement, hls: Hls | null, view: PlayerView): Stats {
	const level = hls?.levels[view.currentLevel];
	const frames = video.getVideoPlaybackQuality?.();
	const mode = hls?.lowLatencyMode ? 'low latency' : 'segments';
	return [
		['Picture', video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–'],
		['Level', level ? `${bitrateLabel(level.bitrate)}, ${view.selectedLevel < 0 ? 'auto' : 'chosen'}` : '–'],
		['Codecs', [level?.videoCodec, level?.audioCodec].filter(Boolean).join(', ') || '–'],
		['Bandwidth', hls ? bitrateLabel(hls.bandwidthEstimate) || '–' : '–'],
		['Buffer', `${bufferAhead(video).toFixed(1)} s`],
		[
			'Latency',
			view.latency === null ? '–' : `${view.latency.toFixed(1)} s (aims for ${seconds(hls?.targetLatency)})`,
		],
		['Frames', frames ? `${frames.totalVideoFrames}, ${frames.droppedVideoFrames} dropped` : '–'],
		['Mode', hls ? `hls.js, ${mode}` : 'browser'],
		['State', view.failure ? `${view.phase}: ${view.failure.message}` : view.phase],
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
