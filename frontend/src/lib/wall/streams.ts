import type { Stream } from '$lib/api/documents';
import { span } from '$lib/time/duration';

export function isPlayable({ health }: Stream): boolean {
	return health !== 'down';
}

/** Streams worth trying, best first: the edge's ranking, minus those it knows to be down. */
export function playable(streams: readonly Stream[]): Stream[] {
	return streams.filter(isPlayable);
}

/** The stream to begin with. */
export function best(streams: readonly Stream[]): Stream | null {
	return streams.find(({ health }) => health === 'healthy') ?? playable(streams)[0] ?? null;
}

/** "1080p50": the tallest picture a stream offers; null when nothing is known of it. */
export function tallest({ renditions }: Stream): string | null {
	const [top] = renditions
		.filter(({ role, height }) => role === 'video' && height)
		.sort((a, b) => (b.height ?? 0) - (a.height ?? 0) || (b.bandwidth ?? 0) - (a.bandwidth ?? 0));
	if (!top?.height) return null;
	return top.frame_rate && top.frame_rate > 31
		? `${top.height}p${Math.round(top.frame_rate)}`
		: `${top.height}p`;
}

/** The highest bit rate a stream offers. */
export function topBandwidth({ renditions }: Stream): number | null {
	const rates = renditions.flatMap(({ role, bandwidth }) =>
		role === 'video' && bandwidth ? [bandwidth] : [],
	);
	return rates.length ? Math.max(...rates) : null;
}

/** Why nothing of this stream plays: what each source says, nothing twice. */
export function reasons({ sources }: Stream): string[] {
	const all = sources.flatMap(({ name, label, error }) => (error ? [`${label ?? name}: ${error}`] : []));
	return [...new Set(all)];
}

/** The source the edge plays from. */
export function activeSource({ sources }: Stream): string | null {
	const active = sources.find((source) => source.active);
	return active ? (active.label ?? active.name) : null;
}

/** "Down for 12 min"; null while it is not down, or nobody knows since when. */
export function downSince({ health, down_since }: Stream, now: number): string | null {
	const since = Date.parse(down_since ?? '');
	return health === 'down' && !Number.isNaN(since) ? `Down for ${span(now - since)}` : null;
}

/** Those that can be watched before those that are down; else in the edge's order. */
export function downLast(streams: readonly Stream[]): Stream[] {
	return [...playable(streams), ...streams.filter((stream) => !isPlayable(stream))];
}
