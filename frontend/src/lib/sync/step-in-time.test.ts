import { beforeEach, expect, test } from 'vitest';
import { notices } from '$lib/ui/notices.svelte';
import { stepInTime } from './step-in-time';

beforeEach(() => {
	notices.list = [];
});

test.each([
	[-60, -60, 'key', ['60 s back']],
	[-60, -59, 'button', []],
	[-60, -8, 'button', ['That is as far back as it goes']],
	[-60, -8, 'key', ['That is as far back as it goes']],
	[10, 10, 'key', ['10 s on']],
	// The live edge is where it ends.
	[60, 3, 'button', []],
] as const)('a step of %d s that moves by %d s, by %s, says %j', (asked, moved, by, said) => {
	stepInTime({ seekBy: () => moved }, asked, { by });
	expect(notices.list.map(({ text }) => text)).toEqual(said);
});
