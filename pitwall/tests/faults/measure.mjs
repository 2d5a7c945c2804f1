// What a row measured, each figure beside the limit that was promised.

/** A figure as it is printed: three significant digits, nothing behind the point from 100 on. */
function format(value) {
	if (typeof value === 'boolean') return value ? 'yes' : 'no';
	if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
	return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.?0+$/, '');
}

/** How much longer something may take in the fast form, whose rows run side by side on a busy machine. */
const FAST_DURATION_FACTOR = 3;
/** And how much longer, in seconds, a viewer may stall. */
const FAST_STALL_SECONDS = 3;

export class Measurements {
	list = [];
	#isFast;

	constructor(isFast = false) {
		this.#isFast = isFast;
	}

	#add(label, value, limit, pass, isDuration = false) {
		this.list.push({ label, value, limit, pass, isDuration });
	}

	/** A figure without a limit. */
	note(label, value) {
		this.#add(label, value, undefined, true);
	}
	atMost(label, value, limit, isDuration = false) {
		this.#add(label, value, `<= ${limit}`, typeof value === 'number' && value <= limit, isDuration);
	}
	/** A duration. */
	within(label, value, limit) {
		this.atMost(label, value, limit * (this.#isFast ? FAST_DURATION_FACTOR : 1), true);
	}
	atLeast(label, value, limit) {
		this.#add(label, value, `>= ${limit}`, typeof value === 'number' && value >= limit);
	}
	equal(label, value, expected) {
		const [is, wanted] = [JSON.stringify(value) ?? 'nothing', JSON.stringify(expected)];
		this.#add(label, typeof value === 'object' ? is : value, `= ${wanted}`, is === wanted);
	}
	/** Every item answered as expected: names those that did not. `got` and `expected` by name. */
	all(label, got, expected) {
		const wrong = Object.keys(expected).filter(
			(name) => JSON.stringify(got[name]) !== JSON.stringify(expected[name]),
		);
		const count = Object.keys(expected).length;
		this.#add(
			label,
			wrong.length === 0
				? `${count} of ${count}`
				: `${count - wrong.length} of ${count}; ${wrong
						.map((name) => `${name}: ${JSON.stringify(got[name])}, not ${JSON.stringify(expected[name])}`)
						.join('; ')}`,
			'all',
			wrong.length === 0,
		);
	}

	/**
	 * The counts of viewers together. `stall` is the longest that one may have stalled (s), `errors` how many 5xx,
	 * `refusals` how many requests without a response; zero where nothing is said. Bodies that end clean though cut, and
	 * numbers that step back, are never allowed.
	 */
	viewers(counts, { stall = 0, errors = 0, refusals = 0, skipped = 0, segments = 1, cut = Infinity } = {}) {
		const list = [counts].flat();
		const sum = (key) => list.reduce((total, each) => total + each[key], 0);
		const atMost = (label, value, limit) =>
			limit === Infinity ? this.note(label, value) : this.atMost(label, value, limit);
		this.atLeast('segments', Math.min(...list.map((each) => each.segments)), segments);
		atMost('5xx', sum('errors'), errors);
		if (sum('errors') > errors) this.note('first', list.flatMap(({ failures }) => failures)[0]);
		atMost('refused', sum('refusals'), refusals);
		const allowed = stall + (this.#isFast ? FAST_STALL_SECONDS : 0);
		const longest = Math.max(...list.map(({ stallSeconds }) => stallSeconds));
		if (allowed === Infinity) this.note('stall s', longest);
		else this.atMost('stall s', longest, allowed, true);
		atMost('skipped', sum('skipped'), skipped);
		atMost('cut bodies that ended clean', sum('cutClean'), 0);
		atMost('numbers that step back', sum('stepsBack'), 0);
		atMost('aborted', sum('cut'), cut);
	}

	/** Whether it failed, and only because something took too long, which a busy machine may explain. */
	get isOnlyLate() {
		return !this.passed && this.list.every(({ pass, isDuration }) => pass || isDuration);
	}

	get passed() {
		return this.list.length > 0 && this.list.every(({ pass }) => pass);
	}

	/** In a line: all figures; where one failed, those that failed, and those without a limit. */
	toString() {
		const shown = this.passed ? this.list : this.list.filter(({ pass, limit }) => !pass || !limit);
		const isZeroAsPromised = ({ value, limit }) => value === 0 && limit === '<= 0';
		return shown
			.map((one) => {
				const { label, value, limit } = one;
				return `${label} ${format(value)}${limit && !isZeroAsPromised(one) && typeof value !== 'boolean' ? ` (${limit})` : ''}`;
			})
			.join(', ');
	}
}
