// What differs between a player at the origin and the same player at the edge, in words and as a table.
import { limitOf } from './limits.mjs';

/** Differences up to this many seconds are within what two equal runs differ by: a segment and a bit. */
const TOLERANCE_SECONDS = 2.5;

/** `worse`, `better` or `equal`: how the edge compares with the origin; `void` if the player began nowhere. */
export function judge({ direct, edge }) {
	if (direct.begins === false && edge.begins === false) return 'void';
	if (direct.plays !== edge.plays) return edge.plays ? 'better' : 'worse';
	const gains = [edge.picture - direct.picture, edge.sound - direct.sound, direct.stand - edge.stand];
	if (gains.some((gain) => gain < -TOLERANCE_SECONDS)) return 'worse';
	return gains.some((gain) => gain > TOLERANCE_SECONDS) ? 'better' : 'equal';
}

/** Whether the edge is worse, and no limit of the player explains it. */
export const isDefect = (cell) => judge(cell) === 'worse' && !limitOf(cell);

/** The best of several runs at one address. */
const bestOf = (runs) =>
	runs.reduce((best, run) => {
		const isBetter =
			run.plays === best.plays ? run.picture + run.sound > best.picture + best.sound : run.plays;
		return isBetter ? run : best;
	});

/** One cell of several runs: the best directly beside the best at the edge. */
export const bestCell = (cells) => ({
	...cells[0],
	runs: cells.length,
	direct: bestOf(cells.map(({ direct }) => direct)),
	edge: bestOf(cells.map(({ edge }) => edge)),
});

const figures = ({ picture, sound, stand, plays }) =>
	`${picture.toFixed(1)} + ${sound.toFixed(1)}, stands ${stand.toFixed(1)}${plays ? '' : ', ended'}`;

const verdictOf = (cell) => {
	const verdict = judge(cell);
	return verdict === 'worse' && limitOf(cell) ? `worse: ${limitOf(cell)}` : verdict;
};

/** One line for a terminal. */
export const lineOf = (cell) =>
	`${cell.packager} | ${cell.scenario} | ${cell.player}: directly ${figures(cell.direct)}; edge ${figures(cell.edge)}: ${verdictOf(cell)}`;

/** Cells that differ, as a table in Markdown; equal ones are only counted. */
export function renderTable(cells) {
	const differing = cells.filter((cell) => !['equal', 'void'].includes(judge(cell)));
	const rows = differing.map(
		(cell) =>
			`| ${cell.scenario} | ${cell.packager} | ${cell.player} | ${figures(cell.direct)} | ${figures(cell.edge)} | ${verdictOf(cell)} |`,
	);
	const count = (verdict) => cells.filter((cell) => judge(cell) === verdict).length;
	const empty = count('void') > 0 ? ` In ${count('void')} the player began nowhere.` : '';
	return [
		`${cells.length} cells: ${count('equal')} equal, ${count('better')} better, ${count('worse')} worse.${empty}`,
		'',
		'| scenario | packager | player | at the origin | at the edge | the edge is |',
		'|---|---|---|---|---|---|',
		...rows.sort(),
		'',
	].join('\n');
}
