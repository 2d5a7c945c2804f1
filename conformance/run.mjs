#!/usr/bin/env node
// The conformance farm: real packagers x Pitwall x real players. Fails where a player does worse at the edge than at the origin.
import { appendFileSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { playCells } from './cell.mjs';
import { PACKAGERS } from './packagers.mjs';
import { PLAYERS } from './players.mjs';
import { missingPrograms } from './programs.mjs';
import { SCENARIOS } from './scenarios.mjs';
import { PackagerPool } from './stage.mjs';
import { bestCell, isDefect, lineOf, renderTable } from './table.mjs';

const USAGE = `run.mjs [--packager PATTERN] [--scenario PATTERN] [--player PATTERN] [--fast] [--together COUNT] [--fast] [--list] [--results FILE] [--render FILE]
  A PATTERN is a regular expression over names; all that match are combined. COUNT players at once play each
  packager and scenario. --results appends each cell to a file of JSON lines, of which --render prints the table.`;
/** What \`make test\` runs. */
const FAST = {
	packager: '^ffmpeg 5.1 TS$',
	scenario: '^(refused 503|failover)$',
	player: '^(hls.js in Chromium|ffmpeg 5.1|mpv)$',
	together: '3',
};
/** A worse cell is played as many times in all before it counts. */
const ATTEMPTS = 3;

const { values } = parseArgs({
	options: {
		packager: { type: 'string' },
		scenario: { type: 'string' },
		player: { type: 'string' },
		together: { type: 'string', default: '2' },
		results: { type: 'string' },
		render: { type: 'string' },
		fast: { type: 'boolean' },
		list: { type: 'boolean' },
		help: { type: 'boolean' },
	},
});
if (values.help) {
	console.log(USAGE);
	process.exit();
}
if (values.render) {
	const lines = readFileSync(values.render, 'utf8').trim().split('\n');
	console.log(renderTable(lines.map((line) => JSON.parse(line))));
	process.exit();
}
const wanted = values.fast ? FAST : values;

const matching = (all, pattern) => all.filter(({ name }) => new RegExp(pattern ?? '').test(name));
const packagers = matching(PACKAGERS, wanted.packager);
const scenarios = matching(SCENARIOS, wanted.scenario);
const players = matching(PLAYERS, wanted.player);
if (values.list) {
	for (const all of [packagers, scenarios, players])
		console.log(`${all.map(({ name }) => name).join('\n')}\n`);
	process.exit();
}

/** Those of which all programs are here; says what is missing. */
async function available(all) {
	const checked = await Promise.all(all.map(async (one) => [one, await missingPrograms(one.programs)]));
	for (const [{ name }, missing] of checked) {
		if (missing.length > 0)
			console.log(`left out: ${name}, without ${missing.join(', ')} (.ci/setup conformance)`);
	}
	return checked.filter(([, missing]) => missing.length === 0).map(([one]) => one);
}

/** Splits a list into groups of at most so many. */
const groups = (all, size) =>
	Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));

const pool = new PackagerPool();
const cells = [];
let failed = 0;
for (const packager of await available(packagers)) {
	for (const scenario of scenarios) {
		for (const group of groups(await available(players), Number(wanted.together))) {
			try {
				await playGroup(packager, scenario, group);
			} catch (error) {
				failed += 1;
				console.log(`failed ${packager.name} | ${scenario.name}: ${error.stack}`);
			}
		}
	}
	await pool.discard();
}

/** Plays the cells of a group, and those that are worse again. */
async function playGroup(packager, scenario, group) {
	const attempts = new Map(group.map((player) => [player, []]));
	let again = group;
	for (let attempt = 0; attempt < ATTEMPTS && again.length > 0; attempt++) {
		for (const { player, ...played } of await playCells(pool, packager, scenario, again)) {
			const names = { packager: packager.name, scenario: scenario.name, player: player.name };
			attempts.get(player).push({ ...names, ...played });
		}
		again = again.filter((player) => isDefect(bestCell(attempts.get(player))));
	}
	for (const cell of [...attempts.values()].map(bestCell)) {
		cells.push(cell);
		console.log(lineOf(cell));
		if (isDefect(cell))
			console.log(`  at the origin: ${cell.direct.output}\n  at the edge: ${cell.edge.output}`);
		if (values.results) appendFileSync(values.results, `${JSON.stringify(cell)}\n`);
	}
}

console.log(`\n${renderTable(cells)}`);
const defects = cells.filter(isDefect).length;
process.exit(defects + failed > 0 || cells.length === 0 ? 1 : 0);
