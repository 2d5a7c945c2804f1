import { expect, test } from 'vitest';
import { fragmentAt } from './preview-fragment';

const NOON = Date.parse('2026-11-22T12:00:00Z');

/** Three segments of two seconds, which begin at media time 10. */
function details(isDated: boolean) {
	const fragments = [0, 1, 2].map((index) => ({
		sn: 100 + index,
		start: 10 + 2 * index,
		duration: 2,
		programDateTime: isDated ? NOON + 2_000 * index : null,
	}));
	return { fragments, edge: 16 };
}

test.each([
	[0, 100],
	[1.999, 100],
	[2, 101],
	[5.9, 102],
	[6, null],
	[-0.1, null],
])('%f s after the first segment began it is segment %s', (seconds, sn) => {
	const date = NOON + seconds * 1_000;
	expect(fragmentAt(details(true), date, 0)?.sn ?? null).toBe(sn);
	expect(fragmentAt(details(false), date, NOON + 6_000)?.sn ?? null).toBe(sn);
});
