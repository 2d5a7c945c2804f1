import { expect, test } from 'vitest';
import { Ladder, type Fault, type Step } from './ladder';

const media: Fault = { kind: 'media' };
const manifest: Fault = { kind: 'network', manifest: true };
const segment: Fault = { kind: 'network', manifest: false };
const frozen: Fault = { kind: 'frozen' };
const gone: Fault = { kind: 'gone' };
const stalled: Fault = { kind: 'stalled' };
const flow = 'flow';

/** A story: at each moment a fault or flowing media, and the steps that come of the faults. */
function check(story: [at: number, Fault | typeof flow][], expected: Step['do'][]) {
	const ladder = new Ladder();
	const steps = story.flatMap(([at, event]) => {
		if (event !== flow) return [ladder.fault(event, at).do];
		ladder.flowing(at);
		return [];
	});
	expect(steps).toEqual(expected);
}

test('a media error is recovered once, then it is the next source', () =>
	check(
		[
			[0, media],
			[4_999, media],
		],
		['recover-media', 'next-source'],
	));

test('five seconds later it may be recovered again', () =>
	check(
		[
			[0, media],
			[5_000, media],
		],
		['recover-media', 'recover-media'],
	));

test('a manifest is loaded anew, startLoad would do nothing', () =>
	check(
		[
			[0, manifest],
			[6_000, manifest],
		],
		['next-source', 'all-down'],
	));

test('what is gone is loaded anew, and no faster than that when it stays away', () =>
	check(
		[
			[0, gone],
			[100, gone],
			[200, flow],
			[20_000, flow],
			[20_001, gone],
		],
		['next-source', 'all-down', 'next-source'],
	));

test('a segment: one startLoad, then the next source, then all down', () =>
	check(
		[
			[0, segment],
			[3_000, segment],
			[6_000, segment],
			[9_000, segment],
		],
		['start-load', 'next-source', 'start-load', 'all-down'],
	));

test('media in between gives startLoad back', () =>
	check(
		[
			[0, segment],
			[1_000, flow],
			[3_000, segment],
		],
		['start-load', 'start-load'],
	));

test('a frozen playlist is the next source at once', () => check([[0, frozen]], ['next-source']));

test('a stall: to the live edge, then the next source', () =>
	check(
		[
			[0, stalled],
			[8_000, stalled],
			[16_000, stalled],
			[24_000, stalled],
		],
		['jump-to-live', 'next-source', 'jump-to-live', 'all-down'],
	));

test('all down goes on asking', () =>
	check(
		[
			[0, manifest],
			[5_000, manifest],
			[10_000, manifest],
		],
		['next-source', 'all-down', 'all-down'],
	));

test('a short flow does not hide a source that keeps failing', () =>
	check(
		[
			[0, frozen],
			[2_000, flow],
			[3_000, frozen],
		],
		['next-source', 'all-down'],
	));

test('a long one forgives', () =>
	check(
		[
			[0, frozen],
			[10_000, flow],
			[11_000, frozen],
		],
		['next-source', 'next-source'],
	));

test('with more sources each gets its turn', () => {
	const ladder = new Ladder(3);
	const steps = [0, 1, 2, 3].map((at) => ladder.fault(frozen, at).do);
	expect(steps).toEqual(['next-source', 'next-source', 'next-source', 'all-down']);
});
