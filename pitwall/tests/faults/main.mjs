// The fault matrix: `make faults` runs all rows against the release binary, `make faults ARGS="redis clock"` those whose
// name contains a pattern. docs/reliability.md is the table of rows.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../../frontend/e2e/support/process.mjs';
import { Bed, PITWALL, Unavailable } from './bed.mjs';
import { Measurements } from './measure.mjs';
import { ROWS } from './rows.mjs';
import { defaults } from './source.mjs';

const USAGE = `usage: main.mjs [--list] [--fast] [--jobs N] [--json FILE] [--markdown] [PATTERN...]
  --list      names and promises, nothing is run
  --fast      the rows that make test runs, in their short form
  --jobs N    rows at the same time; 1 measures best (default 1)
  --json FILE where the figures go (default target/faults.json)
  --markdown  the table as in docs/reliability.md
The executable is target/release/pitwall, or PITWALL.`;

const { values: flags, positionals: patterns } = parseArgs({
	allowPositionals: true,
	options: {
		list: { type: 'boolean' },
		fast: { type: 'boolean' },
		markdown: { type: 'boolean' },
		jobs: { type: 'string', default: '1' },
		json: { type: 'string', default: path.join(ROOT, 'target/faults.json') },
		help: { type: 'boolean' },
	},
});
if (flags.help) {
	console.log(USAGE);
	process.exit(0);
}

const ROW_TIMEOUT_SECONDS = 240;
const fullName = (row) => (row.number ? `${String(row.number).padStart(2, '0')} ${row.name}` : row.name);
const rows = ROWS.filter(
	(row) =>
		(!flags.fast || row.fast) &&
		(patterns.length === 0 || patterns.some((pattern) => fullName(row).includes(pattern))),
);
if (rows.length === 0) {
	console.error(`no row's name contains ${patterns.join(' or ')}; --list shows all`);
	process.exit(2);
}
if (flags.list) {
	for (const row of rows)
		console.log(`${fullName(row).padEnd(36)} ${row.fast ? 'fast' : '    '}  ${row.promise}`);
	process.exit(0);
}
if (!existsSync(PITWALL)) {
	console.error(`${PITWALL} is missing: make build, or PITWALL=PATH`);
	process.exit(2);
}

if (flags.fast) defaults.target = 1;

const beds = new Set();
for (const signal of ['SIGINT', 'SIGTERM'])
	process.once(signal, async () => {
		await Promise.all([...beds].map((bed) => bed.end()));
		process.exit(1);
	});

/** Runs one row; never throws. A row that cannot run on this machine is `skipped`, any other failure is a failure. */
async function run(row) {
	const [bed, measurements] = [new Bed(), new Measurements(flags.fast)];
	beds.add(bed);
	const began = performance.now();
	let [error, skipped, timer] = [undefined, undefined, undefined];
	const sampling = setInterval(() => bed.sample(), 500);
	const limit = row.timeout ?? ROW_TIMEOUT_SECONDS;
	const deadline = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`not done in ${limit} s`)), limit * 1000);
	});
	try {
		await Promise.race([row.run(bed, measurements, { isFast: flags.fast === true }), deadline]);
	} catch (failure) {
		if (failure instanceof Unavailable) skipped = failure.message;
		else error = String(failure?.stack ?? failure);
	}
	clearTimeout(timer);
	clearInterval(sampling);
	bed.sample();
	await bed.end();
	beds.delete(bed);
	const sum = (key) => bed.viewers.reduce((total, viewer) => total + viewer[key], 0);
	return {
		row,
		pass: !error && !skipped && measurements.passed,
		skipped,
		error,
		measurements,
		seconds: (performance.now() - began) / 1000,
		resources: bed.peaks,
		viewers: {
			count: bed.viewers.length,
			segments: sum('segments'),
			errors: sum('errors'),
			cutClean: sum('cutClean'),
			stepsBack: sum('stepsBack'),
		},
	};
}

const measured = ({ skipped, error, measurements }) =>
	skipped
		? `not run: ${skipped}`
		: error
			? `${error.split('\n')[0]} ${measurements}`.trim()
			: `${measurements}`;

const verdict = ({ skipped, pass }) => (skipped ? 'skip' : pass ? 'pass' : 'FAIL');

function print(result) {
	const { row, seconds } = result;
	if (flags.markdown) {
		const cell = (text) => text.replaceAll('|', '\\|');
		const columns = [row.number ?? '', row.name, cell(row.promise), cell(measured(result)), verdict(result)];
		console.log(`| ${columns.join(' | ')} |`);
	} else {
		console.log(`${verdict(result)}  ${fullName(row)} (${seconds.toFixed(1)} s)`);
		console.log(`      promise   ${row.promise}\n      measured  ${measured(result)}`);
		if (result.error) console.log(result.error.replaceAll(/^/gm, '      '));
	}
}

const [load, cores] = [loadavg()[0], availableParallelism()];
if (load > cores)
	console.error(
		`The machine is busy (load ${load.toFixed(1)}, ${cores} cores): durations are longer than Pitwall's own.`,
	);

const results = [];
const queue = [...rows];
await Promise.all(
	Array.from({ length: Number(flags.jobs) }, async () => {
		for (let row = queue.shift(); row; row = queue.shift()) {
			let result = await run(row);
			// A row that is only late is tried once more, because the machine may have been busy; the second run counts.
			if (!result.error && !result.skipped && result.measurements.isOnlyLate) {
				const first = `${result.measurements}`;
				result = await run(row);
				result.measurements.note('a first run was late', first);
			}
			results.push(result);
			print(result);
		}
	}),
);

/** What no row may show, over all rows together. */
const TOTALS = [
	[
		'5xx for viewers during a fault of control plane, store or clock',
		'errors',
		({ row }) => ['control plane', 'store', 'clock'].includes(row.faultOf),
	],
	['bodies that ended clean though cut', 'cutClean', () => true],
	['numbers that step back', 'stepsBack', () => true],
];
const totals = TOTALS.map(([label, key, counts]) => {
	const counted = results.filter(counts);
	const sum = (of) => counted.reduce((total, { viewers }) => total + viewers[of], 0);
	return {
		label,
		value: sum(key),
		rows: counted.length,
		segments: sum('segments'),
		pass: sum(key) === 0,
	};
});
for (const { label, value, rows: count, segments, pass } of totals)
	console.log(
		`${pass ? 'pass' : 'FAIL'}  total: ${value} ${label} (${count} rows, ${segments} segments read)`,
	);

const of = (kind) => results.filter((result) => verdict(result) === kind);
console.log(
	`${of('pass').length} of ${results.length} rows passed` +
		(of('FAIL').length > 0
			? `; failed: ${of('FAIL')
					.map(({ row }) => row.name)
					.join(', ')}`
			: '') +
		(of('skip').length > 0
			? `; not run: ${of('skip')
					.map(({ row }) => row.name)
					.join(', ')}`
			: ''),
);
mkdirSync(path.dirname(path.resolve(flags.json)), { recursive: true });
const version = execFileSync(PITWALL, ['--version'], {
	encoding: 'utf8',
}).trim();
writeFileSync(
	flags.json,
	`${JSON.stringify(
		{
			version,
			fast: flags.fast === true,
			machine: { cores, load },
			totals,
			rows: results.map(({ row, measurements, ...rest }) => ({
				number: row.number,
				name: row.name,
				promise: row.promise,
				...rest,
				measured: measurements.list,
			})),
		},
		undefined,
		'\t',
	)}\n`,
);
process.exit(of('FAIL').length > 0 || totals.some(({ pass }) => !pass) ? 1 : 0);
