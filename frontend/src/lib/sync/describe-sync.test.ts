import { expect, test } from 'vitest';
import { describeSync, signedSeconds } from './describe-sync';
import type { TileStanding } from './wall-clock';

test.each([
	[0.3, '+0.3 s'],
	[-2.5, '−2.5 s'],
	[0.04, '0 s'],
	[-0.04, '0 s'],
])('%f is %s', (seconds, text) => expect(signedSeconds(seconds)).toBe(text));

test.each<[string, TileStanding, lateMs: number, spread: number, undated: string[], together: boolean]>([
	['In step', 'in-step', 30, 30, [], true],
	['In step', 'absent', 9_000, 0, [], true],
	['Adjusting, 0.7 s', 'adjusting', 700, 700, [], true],
	['Pit lane is 45 s late', 'out-of-reach', 45_000, 0, [], true],
	['Pit lane is 45 s early', 'out-of-reach', -45_000, 0, [], true],
	['Pit lane by hand', 'in-step', 30, 30, ['b'], true],
	['Each on its own', 'in-step', 30, 30, [], false],
])('%s', (text, standing, lateMs, spread, undated, together) => {
	const view = {
		standings: new Map<string, TileStanding>([
			['a', 'in-step'],
			['b', standing],
		]),
		lateness: new Map([['b', lateMs]]),
		...{ undated: new Set(undated), spread },
	};
	expect(describeSync(view, together, (id) => ({ a: 'World feed', b: 'Pit lane' })[id] ?? '')).toBe(text);
});
