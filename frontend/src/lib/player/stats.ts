import { t } from '$lib/i18n/texts';
import { decimal } from '$lib/i18n/number';
import type Hls from 'hls.js';
import { bitrateLabel } from './quality';
import type { Phase, PlayerView } from './player-view';

/** Labels and values in the order in which `StatsOverlay` lists them. */
export type Stats = [label: string, value: string][];

/**
 * Technical figures of the playback, for the overlay that the key `i` opens. `requestId`: of the last
 * playlist, `null` where the browser plays by itself.
 */
export function collectStats(
	video: HTMLVideoElement,
	hls: Hls | null,
	view: PlayerView,
	requestId: string | null,
): Stats {
	const level = hls?.levels[view.currentLevel];
	const frames = video.getVideoPlaybackQuality?.();
	const mode = hls?.lowLatencyMode ? t('statLowLatency') : t('statSegments');
	return [
		[t('statPicture'), video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–'],
		[t('statLevel'), level ? levelText(bitrateLabel(level.bitrate), view.selectedLevel < 0) : '–'],
		[t('statCodecs'), [level?.videoCodec, level?.audioCodec].filter(Boolean).join(', ') || '–'],
		[t('statBandwidth'), hls ? bitrateLabel(hls.bandwidthEstimate) || '–' : '–'],
		[t('statBuffer'), seconds(bufferAhead(video))],
		[
			t('statLatency'),
			view.latency === null
				? '–'
				: t('statLatencyValue', { seconds: decimal(view.latency), target: seconds(hls?.targetLatency) }),
		],
		[
			t('statFrames'),
			frames
				? t('statFramesValue', { total: frames.totalVideoFrames, dropped: frames.droppedVideoFrames })
				: '–',
		],
		[t('statMode'), hls ? `hls.js, ${mode}` : t('statBrowser')],
		[
			t('statState'),
			view.failure ? `${phaseName(view.phase)}: ${view.failure.message}` : phaseName(view.phase),
		],
		[t('statRequest'), requestId ?? '–'],
	];
}

function levelText(bitrate: string, isAutomatic: boolean): string {
	return isAutomatic ? t('statLevelAuto', { bitrate }) : t('statLevelChosen', { bitrate });
}

function phaseName(phase: Phase): string {
	return {
		loading: t('phaseLoading'),
		playing: t('phasePlaying'),
		paused: t('phasePaused'),
		buffering: t('phaseBuffering'),
		down: t('phaseDown'),
	}[phase];
}

function bufferAhead({ buffered, currentTime }: HTMLVideoElement): number {
	for (let i = 0; i < buffered.length; i += 1) {
		if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i))
			return buffered.end(i) - currentTime;
	}
	return 0;
}

function seconds(value: number | null | undefined): string {
	return value === null || value === undefined ? '–' : `${decimal(value)} s`;
}
