import { expect, test } from 'vitest';
import { RecoveryPolicy, type PlaybackFault, type RecoveryStep } from './recovery-policy';

const mediaFault: PlaybackFault = { kind: 'media' };
const manifestFault: PlaybackFault = { kind: 'network', manifest: true };
const segmentFault: PlaybackFault = { kind: 'network', manifest: false };
const playlistUnchanged: PlaybackFault = { kind: 'playlist-unchanged' };
const renditionGone: PlaybackFault = { kind: 'rendition-gone' };
const stalledFault: PlaybackFault = { kind: 'stalled' };
const mediaFlows = 'flow';

/** Feeds faults and flowing media to a policy at the given times, and compares the steps that the faults cause. */
function check(
	timeline: [at: number, PlaybackFault | typeof mediaFlows][],
	expected: RecoveryStep['action'][],
) {
	const policy = new RecoveryPolicy();
	const steps = timeline.flatMap(([at, event]) => {
		if (event !== mediaFlows) return [policy.onFault(event, at).action];
		policy.onMediaFlowing(at);
		return [];
	});
	expect(steps).toEqual(expected);
}

test('the first media error is recovered in place, a second one within five seconds reloads', () =>
	check(
		[
			[0, mediaFault],
			[4_999, mediaFault],
		],
		['recover-media', 'reload'],
	));

test('a media error five seconds after the last one is recovered in place again', () =>
	check(
		[
			[0, mediaFault],
			[5_000, mediaFault],
		],
		['recover-media', 'recover-media'],
	));

test('a multivariant playlist that fails is reloaded without a startLoad', () =>
	check(
		[
			[0, manifestFault],
			[6_000, manifestFault],
		],
		['reload', 'all-down'],
	));

test('a rendition that is gone reloads once, and then counts as all down until media has flowed', () =>
	check(
		[
			[0, renditionGone],
			[100, renditionGone],
			[200, mediaFlows],
			[20_000, mediaFlows],
			[20_001, renditionGone],
		],
		['reload', 'all-down', 'reload'],
	));

test('a segment that fails: startLoad, then a reload, then all down', () =>
	check(
		[
			[0, segmentFault],
			[3_000, segmentFault],
			[6_000, segmentFault],
			[9_000, segmentFault],
		],
		['start-load', 'reload', 'start-load', 'all-down'],
	));

test('flowing media makes startLoad available again', () =>
	check(
		[
			[0, segmentFault],
			[1_000, mediaFlows],
			[3_000, segmentFault],
		],
		['start-load', 'start-load'],
	));

test('a playlist that stays unchanged reloads at once', () => check([[0, playlistUnchanged]], ['reload']));

test('a stall: a jump to the live edge, then a reload', () =>
	check(
		[
			[0, stalledFault],
			[8_000, stalledFault],
			[16_000, stalledFault],
			[24_000, stalledFault],
		],
		['jump-to-live', 'reload', 'jump-to-live', 'all-down'],
	));

test('all down is repeated while every try fails', () =>
	check(
		[
			[0, manifestFault],
			[5_000, manifestFault],
			[10_000, manifestFault],
		],
		['reload', 'all-down', 'all-down'],
	));

test('media that flows for less than ten seconds does not reset the reloads', () =>
	check(
		[
			[0, playlistUnchanged],
			[2_000, mediaFlows],
			[3_000, playlistUnchanged],
		],
		['reload', 'all-down'],
	));

test('media that flows for ten seconds resets the reloads', () =>
	check(
		[
			[0, playlistUnchanged],
			[10_000, mediaFlows],
			[11_000, playlistUnchanged],
		],
		['reload', 'reload'],
	));

test('a policy with three reloads reloads three times before all is down', () => {
	const policy = new RecoveryPolicy(3);
	const steps = [0, 1, 2, 3].map((at) => policy.onFault(playlistUnchanged, at).action);
	expect(steps).toEqual(['reload', 'reload', 'reload', 'all-down']);
});
