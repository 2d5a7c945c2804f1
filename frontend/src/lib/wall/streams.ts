import { t } from '$lib/i18n/texts';
import type { Stream } from '$lib/api/documents';
import { formatDuration } from '$lib/time/duration';
import type { MenuItem } from '$lib/ui/Menu.svelte';
import { MAX_TILES } from './layout';

export function isPlayable({ health }: Stream): boolean {
	return health !== 'down';
}

/** The streams that are not down, in the edge's order, which is best first. */
export function playableStreams(streams: readonly Stream[]): Stream[] {
	return streams.filter(isPlayable);
}

/** The stream that a wall begins with: the first healthy one, else the first playable one, else null. */
export function bestStream(streams: readonly Stream[]): Stream | null {
	return streams.find(({ health }) => health === 'healthy') ?? playableStreams(streams)[0] ?? null;
}

/** "1080p50": height and frame rate of the tallest video rendition; null if no height is known. */
export function resolutionLabel({ renditions }: Stream): string | null {
	const [top] = renditions
		.filter(({ role, height }) => role === 'video' && height)
		.sort((a, b) => (b.height ?? 0) - (a.height ?? 0) || (b.bandwidth ?? 0) - (a.bandwidth ?? 0));
	if (!top?.height) return null;
	return top.frame_rate && top.frame_rate > 31
		? `${top.height}p${Math.round(top.frame_rate)}`
		: `${top.height}p`;
}

/** The highest bandwidth of a stream's video renditions in bit/s; null if none is known. */
export function maxBandwidth({ renditions }: Stream): number | null {
	const rates = renditions.flatMap(({ role, bandwidth }) =>
		role === 'video' && bandwidth ? [bandwidth] : [],
	);
	return rates.length ? Math.max(...rates) : null;
}

/** The error of each source of a stream, without duplicates. */
export function sourceErrors({ sources }: Stream): string[] {
	const all = sources.flatMap(({ name, label, error }) => (error ? [`${label ?? name}: ${error}`] : []));
	return [...new Set(all)];
}

/** The label, else the name, of the source that the edge plays this stream from; null if it plays none. */
export function activeSourceLabel({ sources }: Stream): string | null {
	const active = sources.find((source) => source.active);
	return active ? (active.label ?? active.name) : null;
}

/** "Down for 12 min"; null if the stream is not down, or if `down_since` is unknown. */
export function downtimeLabel({ health, down_since }: Stream, now: number): string | null {
	const since = Date.parse(down_since ?? '');
	return health === 'down' && !Number.isNaN(since)
		? t('downFor', { duration: formatDuration(now - since) })
		: null;
}

/** Moves the streams that are down to the end, and keeps the edge's order otherwise. */
export function sortDownLast(streams: readonly Stream[]): Stream[] {
	return [...playableStreams(streams), ...streams.filter((stream) => !isPlayable(stream))];
}

/** The items of a menu that adds a stream to a wall. */
export function addableStreams(
	wall: { isFull: boolean; hasStream(stream: string): boolean },
	streams: readonly Stream[],
): MenuItem[] {
	if (wall.isFull) return [{ id: '', label: t('tilesMax', { count: MAX_TILES }), disabled: true }];
	const addable = playableStreams(streams).filter(({ id }) => !wall.hasStream(id));
	if (addable.length === 0) return [{ id: '', label: t('noOtherStream'), disabled: true }];
	return addable.map((stream) => ({
		id: stream.id,
		label: stream.feed,
		detail: resolutionLabel(stream) ?? '',
	}));
}

/** The picture and the state of a stream in a few words of a viewer: "1080p50, unsteady". */
export function streamSummary(stream: Stream): string {
	const state = { healthy: null, degraded: t('summaryUnsteady'), down: t('summaryOff') }[stream.health];
	return [resolutionLabel(stream), state].filter(Boolean).join(', ');
}
