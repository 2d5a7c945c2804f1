import { t } from '$lib/i18n/texts';
import { base } from '$app/paths';
import { LAYOUTS, MAX_TILES, layoutFor, parseLayout, type Layout } from './layout';

/** The part of a wall that its URL holds: `/watch/{session}?l=2&s=a,b&a=a&o=0,-2.5`. */
export interface WallQuery {
	layout: Layout;
	/** Stream ids in the order of the places, without duplicates. */
	streams: string[];
	/** The id of the stream that is heard; null if the viewer has not chosen one. */
	audible: string | null;
	/** Seconds by which each stream is shown later than its dates say, in the order of `streams`; null: not in the URL. */
	offsets: number[] | null;
}

export const OFFSET_MAX_SECONDS = 300;

const STREAM_ID = /^[a-z0-9-]{1,64}$/;

/**
 * Reads a wall from a URL's query. What cannot be shown is left out, so that a damaged link still opens, and is said
 * in `remarks`, in words for the viewer.
 */
export function parseWallQuery(query: URLSearchParams): WallQuery & { remarks: string[] } {
	const remarks: string[] = [];
	const requested = (query.get('s') ?? '').split(',').filter((id) => id !== '');
	const offsetTexts = query.get('o')?.split(',') ?? null;
	const entries: { stream: string; offset: number }[] = [];
	for (const [index, stream] of requested.entries()) {
		const offset = Number.parseFloat(offsetTexts?.[index] ?? '');
		const isDuplicate = entries.some((entry) => entry.stream === stream);
		if (!STREAM_ID.test(stream)) remarks.push(t('notAStream', { id: stream.slice(0, 64) }));
		else if (!isDuplicate) entries.push({ stream, offset: clampOffset(offset) });
	}
	const leftOut = entries.splice(MAX_TILES).map(({ stream }) => stream);
	if (leftOut.length > 0)
		remarks.push(t('streamsDidNotFit', { max: MAX_TILES, streams: leftOut.join(', ') }));

	const requestedName = query.get('l');
	const requestedLayout = requestedName === null ? null : parseLayout(requestedName);
	const smallest = layoutFor(entries.length, requestedLayout ?? '1');
	if (requestedName !== null && requestedLayout === null)
		remarks.push(t('noSuchLayout', { name: requestedName.slice(0, 16) }));
	else if (requestedLayout !== null && LAYOUTS[requestedLayout].places < entries.length)
		remarks.push(t('layoutTooSmall', { places: LAYOUTS[requestedLayout].places, streams: entries.length }));
	const holdsAll = requestedLayout !== null && LAYOUTS[requestedLayout].places >= entries.length;
	const streams = entries.map(({ stream }) => stream);
	const audible = query.get('a');
	return {
		layout: holdsAll && entries.length > 0 ? requestedLayout : smallest,
		streams,
		audible: audible !== null && streams.includes(audible) ? audible : null,
		offsets: offsetTexts && entries.map(({ offset }) => offset),
		remarks,
	};
}

/** The URL's query for a wall; empty for a wall without streams. */
export function formatWallQuery({ layout, streams, audible, offsets }: WallQuery): string {
	if (streams.length === 0) return '';
	const parts = [`l=${layout}`, `s=${streams.join(',')}`];
	if (audible !== null && streams.includes(audible)) parts.push(`a=${audible}`);
	if (offsets?.some((offset) => offset !== 0)) parts.push(`o=${offsets.join(',')}`);
	return `?${parts.join('&')}`;
}

/** The path of a session's Watch page. Colons stay unescaped, so that the session id is readable. */
export function watchPath(session: string | null, query = ''): string {
	const segment = session ? `/${encodeURIComponent(session).replaceAll('%3A', ':')}` : '';
	return `${base}/watch${segment}${query}`;
}

/** An offset in tenths of a second within the limits; 0 for what is not a number. */
export function clampOffset(seconds: number): number {
	const tenths = Math.round(seconds * 10) / 10;
	return Number.isFinite(tenths) ? Math.min(OFFSET_MAX_SECONDS, Math.max(-OFFSET_MAX_SECONDS, tenths)) : 0;
}
