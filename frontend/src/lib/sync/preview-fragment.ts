import type { LevelDetails } from 'hls.js';

type Details = {
	edge: LevelDetails['edge'];
	fragments: {
		sn: number | 'initSegment';
		start: number;
		duration: number;
		programDateTime: number | null;
	}[];
};

/**
 * The segment that holds a date, or null where the playlist does not hold it. In a playlist without dates it is found by
 * the distance of the date from `edgeDate`, the date of the playlist's end. Dates in milliseconds since the epoch.
 */
export function fragmentAt<D extends Details>(
	{ fragments, edge }: D,
	date: number,
	edgeDate: number,
): D['fragments'][number] | null {
	const position = edge - (edgeDate - date) / 1_000;
	const holds = ({ start, duration, programDateTime }: Details['fragments'][number]) => {
		const since = programDateTime === null ? position - start : (date - programDateTime) / 1_000;
		return since >= 0 && since < duration;
	};
	return fragments.findLast(holds) ?? null;
}
