import type { Level } from 'hls.js';

export interface Quality {
	/** Index in hls.js's level list. */
	level: number;
	label: string;
	detail: string;
	height: number;
	bitrate: number;
}

/** The levels as a menu lists them, best first. */
export function qualitiesOf(levels: readonly Pick<Level, 'height' | 'bitrate' | 'frameRate'>[]): Quality[] {
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

/** The level closest to what was chosen before the list was loaded anew; -1 (automatic) when none is close. */
export function sameQuality(chosen: Quality | null, offered: readonly Quality[]): number {
	if (!chosen) return -1;
	const alike = offered.filter(({ height }) => height === chosen.height);
	const distance = (quality: Quality) => Math.abs(quality.bitrate - chosen.bitrate);
	return alike.sort((a, b) => distance(a) - distance(b))[0]?.level ?? -1;
}

export function bitrateLabel(bitsPerSecond: number | null): string {
	if (!bitsPerSecond) return '';
	if (bitsPerSecond < 1e6) return `${Math.round(bitsPerSecond / 1e3)} kb/s`;
	return `${(bitsPerSecond / 1e6).toFixed(1)} Mb/s`;
}

function labelOf({ height, bitrate, frameRate }: Pick<Level, 'height' | 'bitrate' | 'frameRate'>): string {
	if (!height) return bitrateLabel(bitrate) || 'Source';
	return frameRate > 31 ? `${height}p${Math.round(frameRate)}` : `${height}p`;
}
