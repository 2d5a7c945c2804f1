import { LAYOUTS, isLayout, layoutFor, type Layout } from './layout';

/** What of a wall is in its URL: `/watch/{session}?l=2&s=a,b&a=a`. */
export interface WallState {
	layout: Layout;
	/** Stream ids, in tile order, none twice. */
	streams: string[];
	/** The stream that is heard; null when nobody has chosen. */
	audible: string | null;
}

const STREAM_ID = /^[a-z0-9-]{1,64}$/;

/** Reads a wall from a query. Anything malformed is left out: a bad link still opens. */
export function parseWall(query: URLSearchParams): WallState {
	const asked = (query.get('s') ?? '').split(',').filter((id) => STREAM_ID.test(id));
	const unique = [...new Set(asked)];
	const wanted = query.get('l');
	// A layout with empty tiles shrinks to what it shows; one too small grows.
	const layout = isLayout(wanted) && unique.length >= LAYOUTS[wanted] ? wanted : layoutFor(unique.length);
	const streams = unique.slice(0, LAYOUTS[layout]);
	const audible = query.get('a');
	return { layout, streams, audible: audible !== null && streams.includes(audible) ? audible : null };
}

/** The query for a wall; empty when there is nothing to remember. */
export function formatWall({ layout, streams, audible }: WallState): string {
	if (streams.length === 0) return '';
	const parts = [`l=${layout}`, `s=${streams.join(',')}`];
	if (audible !== null && streams.includes(audible)) parts.push(`a=${audible}`);
	return `?${parts.join('&')}`;
}

/** The Watch page of a session. Colons stay readable; everything else is escaped. */
export function watchPath(session: string | null, query = ''): string {
	const segment = session ? `/${encodeURIComponent(session).replaceAll('%3A', ':')}` : '';
	return `/watch${segment}${query}`;
}
