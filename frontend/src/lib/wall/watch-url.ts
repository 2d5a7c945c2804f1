import { LAYOUTS, isLayout, layoutFor, type Layout } from './layout';

/** The part of a wall that its URL holds: `/watch/{session}?l=2&s=a,b&a=a`. */
export interface WallQuery {
	layout: Layout;
	/** Stream ids in tile order, without duplicates. */
	streams: string[];
	/** The id of the stream that is heard; null if the viewer has not chosen one. */
	audible: string | null;
}

const STREAM_ID = /^[a-z0-9-]{1,64}$/;

/** Reads a wall from a URL's query. Malformed values are ignored, so that a damaged link still opens. */
export function parseWallQuery(query: URLSearchParams): WallQuery {
	const requestedStreams = (query.get('s') ?? '').split(',').filter((id) => STREAM_ID.test(id));
	const uniqueStreams = [...new Set(requestedStreams)];
	const requestedLayout = query.get('l');
	// A layout with more tiles than streams is replaced by the smallest that holds the streams.
	const layout =
		isLayout(requestedLayout) && uniqueStreams.length >= LAYOUTS[requestedLayout]
			? requestedLayout
			: layoutFor(uniqueStreams.length);
	const streams = uniqueStreams.slice(0, LAYOUTS[layout]);
	const audible = query.get('a');
	return { layout, streams, audible: audible !== null && streams.includes(audible) ? audible : null };
}

/** The URL's query for a wall; empty for a wall without streams. */
export function formatWallQuery({ layout, streams, audible }: WallQuery): string {
	if (streams.length === 0) return '';
	const parts = [`l=${layout}`, `s=${streams.join(',')}`];
	if (audible !== null && streams.includes(audible)) parts.push(`a=${audible}`);
	return `?${parts.join('&')}`;
}

/** The path of a session's Watch page. Colons stay unescaped, so that the session id is readable. */
export function watchPath(session: string | null, query = ''): string {
	const segment = session ? `/${encodeURIComponent(session).replaceAll('%3A', ':')}` : '';
	return `/watch${segment}${query}`;
}
