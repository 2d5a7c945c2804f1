import { t } from '$lib/i18n/texts';
import { decimal } from '$lib/i18n/number';
import type { Level } from 'hls.js';

export interface Quality {
	/** Index in hls.js's list of levels. */
	level: number;
	label: string;
	detail: string;
	height: number;
	bitrate: number;
}

/** What is kept of a chosen quality. */
export type QualityChoice = Pick<Quality, 'height' | 'bitrate'>;

/** The levels of hls.js as a menu lists them, best first. */
export function toQualities(levels: readonly Pick<Level, 'height' | 'bitrate' | 'frameRate'>[]): Quality[] {
	return levels
		.map((level, index) => ({
			level: index,
			label: labelOf(level),
			detail: bitrateLabel(level.bitrate),
			height: level.height || 0,
			bitrate: level.bitrate || 0,
		}))
		.sort((a, b) => b.height - a.height || b.bitrate - a.bitrate);
}

/**
 * The level of the same height whose bit rate is closest to the quality that was selected before a reload;
 * -1 (automatic) if no level has that height.
 */
export function findMatchingLevel(selected: QualityChoice | null, available: readonly Quality[]): number {
	if (!selected) return -1;
	const sameHeight = available.filter(({ height }) => height === selected.height);
	const distance = (quality: Quality) => Math.abs(quality.bitrate - selected.bitrate);
	return sameHeight.sort((a, b) => distance(a) - distance(b))[0]?.level ?? -1;
}

export function bitrateLabel(bitsPerSecond: number | null): string {
	if (!bitsPerSecond) return '';
	if (bitsPerSecond < 1e6) return `${decimal(bitsPerSecond / 1e3, 0)} kb/s`;
	return `${decimal(bitsPerSecond / 1e6)} Mb/s`;
}

function labelOf({ height, bitrate, frameRate }: Pick<Level, 'height' | 'bitrate' | 'frameRate'>): string {
	if (!height) return bitrateLabel(bitrate) || t('source');
	return frameRate > 31 ? `${height}p${Math.round(frameRate)}` : `${height}p`;
}
