import Hls from 'hls.js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeHls, FakeVideo } from './fake';
import { Player } from './player';

const { Events } = Hls;
const URL = '/live/world-feed/index.m3u8';

let players: Player[] = [];
beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => {
	players.forEach((player) => player.destroy());
	players = [];
	vi.useRealTimers();
});

async function make({
	policy = 'sound',
	audible = true,
	native = false,
	onanswer,
}: {
	policy?: FakeVideo['policy'];
	audible?: boolean;
	native?: boolean;
	onanswer?: (answered: boolean) => void;
} = {}) {
	const video = new FakeVideo(policy);
	const player = new Player({
		id: 'tile-1',
		video: video as unknown as HTMLVideoElement,
		Hls: native ? null : (FakeHls as unknown as typeof Hls),
		audible,
		onview: () => {},
		...(onanswer && { onanswer }),
	});
	players.push(player);
	const hls = FakeHls.made.at(-1) as FakeHls;
	player.load(URL);
	await vi.advanceTimersByTimeAsync(0);
	const loads = () => hls.calls.filter((call) => call.startsWith('loadSource')).length;
	const fail = (type: string, details: string, fatal = true, code?: number) =>
		hls.emit(Events.ERROR, { type, details, fatal, response: code && { code } });
	/** Plays for some seconds. */
	const run = async (seconds: number) => {
		if (player.view.phase !== 'playing') video.dispatchEvent(new Event('playing'));
		for (let second = 0; second < seconds; second += 1) {
			video.currentTime += 1;
			await vi.advanceTimersByTimeAsync(1_000);
		}
	};
	return { player, video, hls, loads, fail, run };
}

describe('beginning', () => {
	test('with sound where the browser allows it', async () => {
		const { player, video } = await make();
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, false, false]);
	});

	test('muted where it does not, and one tap brings the sound', async () => {
		const { player, video } = await make({ policy: 'muted' });
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, true, true]);
		player.setMuted(false);
		expect([video.muted, player.view.soundBlocked]).toEqual([false, false]);
	});

	test('on a tap where nothing may play by itself', async () => {
		const { player, video } = await make({ policy: 'never' });
		expect([player.view.playBlocked, player.view.phase]).toEqual([true, 'paused']);
		video.policy = 'sound';
		player.play();
		await vi.advanceTimersByTimeAsync(0);
		expect([player.view.playBlocked, video.paused]).toEqual([false, false]);
	});

	test('a tile that is not heard begins muted and does not ask for sound', async () => {
		const { player, video } = await make({ policy: 'muted', audible: false });
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, true, false]);
	});

	test('the same playlist again is no news', async () => {
		const { player, loads } = await make();
		player.load(URL);
		expect(loads()).toBe(1);
	});
});

describe('the ladder', () => {
	test('a small fault is a badge until media arrives', async () => {
		const { player, hls, fail, loads } = await make();
		fail('networkError', 'fragLoadError', false);
		expect([player.view.hiccups, player.view.trouble, loads()]).toEqual([1, null, 1]);
		hls.emit(Events.FRAG_BUFFERED);
		expect(player.view.hiccups).toBe(0);
	});

	test('a media error is recovered in place; twice in five seconds reloads', async () => {
		const { hls, fail, loads } = await make();
		fail('mediaError', 'bufferAppendError');
		expect(hls.calls).toContain('recoverMediaError');
		fail('mediaError', 'bufferAppendError');
		await vi.advanceTimersByTimeAsync(500);
		expect([hls.calls.filter((call) => call === 'recoverMediaError').length, loads()]).toEqual([1, 2]);
	});

	test('segments: startLoad after a pause, then a reload', async () => {
		const { hls, fail, loads } = await make();
		fail('networkError', 'fragLoadError');
		expect(hls.calls).not.toContain('startLoad');
		await vi.advanceTimersByTimeAsync(1_000);
		expect(hls.calls).toContain('startLoad');
		fail('networkError', 'levelLoadError');
		await vi.advanceTimersByTimeAsync(500);
		expect(loads()).toBe(2);
	});

	test('a frozen playlist reloads although hls.js calls it harmless', async () => {
		const { fail, loads } = await make();
		fail('networkError', 'playlistUnchangedError', false);
		await vi.advanceTimersByTimeAsync(500);
		expect(loads()).toBe(2);
	});

	test.each(['levelLoadError', 'audioTrackLoadError', 'subtitleTrackLoadError'])(
		'a rendition that is gone (%s) loads the multivariant playlist at once',
		async (details) => {
			const { player, hls, fail, loads } = await make();
			fail('networkError', details, false, 503);
			await vi.advanceTimersByTimeAsync(5_000);
			expect(loads()).toBe(1);
			fail('networkError', details, false, 404);
			fail('networkError', 'levelLoadError', false, 404);
			fail('networkError', 'levelLoadError', true, 404);
			await vi.advanceTimersByTimeAsync(0);
			expect([loads(), player.view.phase]).toEqual([2, 'loading']);
			hls.emit(Events.FRAG_BUFFERED);
			expect(player.view.trouble).toBe(null);
		},
	);

	test('all down: says so, asks every five seconds, recovers when media arrives', async () => {
		const { player, hls, video, fail, loads } = await make();
		fail('networkError', 'manifestLoadError');
		await vi.advanceTimersByTimeAsync(500);
		fail('networkError', 'manifestLoadError');
		expect([player.view.phase, player.view.trouble?.retryAt]).toEqual(['down', Date.now() + 5_000]);

		const before = loads();
		for (let round = 0; round < 12; round += 1) {
			await vi.advanceTimersByTimeAsync(5_000);
			fail('networkError', 'manifestLoadError');
		}
		expect(loads() - before).toBe(12);
		expect(player.view.phase).toBe('down');

		await vi.advanceTimersByTimeAsync(5_000);
		hls.emit(Events.FRAG_BUFFERED);
		video.dispatchEvent(new Event('playing'));
		expect([player.view.phase, player.view.trouble]).toEqual(['playing', null]);
		expect(hls.calls).not.toContain('destroy');
	});

	test('a stall jumps to the live edge after eight seconds, then reloads', async () => {
		const { video, run, loads } = await make();
		await run(5);
		await vi.advanceTimersByTimeAsync(9_000);
		expect([video.currentTime, loads()]).toEqual([100, 1]);
		await vi.advanceTimersByTimeAsync(9_500);
		expect(loads()).toBe(2);
	});

	test('a paused tile is not stalled', async () => {
		const { player, run, loads } = await make();
		await run(5);
		player.pause();
		await vi.advanceTimersByTimeAsync(120_000);
		expect([player.view.phase, loads()]).toEqual(['paused', 1]);
	});

	test('another stream begins at the first rung', async () => {
		const { player, fail, loads } = await make();
		fail('networkError', 'manifestLoadError');
		player.load('/live/onboard-44/index.m3u8');
		await vi.advanceTimersByTimeAsync(10_000);
		expect([loads(), player.view.trouble]).toEqual([2, null]);
	});

	test('a retry waiting on a destroyed player never happens', async () => {
		const { player, fail, loads } = await make();
		fail('networkError', 'manifestLoadError');
		player.destroy();
		await vi.advanceTimersByTimeAsync(60_000);
		expect(loads()).toBe(1);
	});
});

describe('what the viewer chose', () => {
	const levels = [
		{ height: 360, bitrate: 900_000, frameRate: 25 },
		{ height: 720, bitrate: 3_000_000, frameRate: 25 },
	];

	test('a quality survives a reload that lists the levels in another order', async () => {
		const { player, hls } = await make();
		hls.emit(Events.MANIFEST_PARSED, { levels });
		player.setQuality(1);
		expect([hls.nextLevel, player.view.quality]).toEqual([1, 1]);
		hls.emit(Events.MANIFEST_PARSED, { levels: [...levels].reverse() });
		expect([hls.nextLevel, player.view.quality]).toEqual([0, 0]);
	});

	test('a tile is heard only while it is the audible one', async () => {
		const { player, video } = await make();
		player.setAudible(false);
		expect(video.muted).toBe(true);
		player.setAudible(true);
		expect(video.muted).toBe(false);
	});

	test('volume to nothing mutes, and back up unmutes', async () => {
		const { player, video } = await make();
		player.setVolume(-1);
		expect([video.volume, video.muted]).toEqual([0, true]);
		player.setVolume(0.5);
		expect([video.volume, video.muted]).toEqual([0.5, false]);
	});

	test('a pause from outside (media keys) is a wish: no reload plays on', async () => {
		const { player, video, run, fail } = await make();
		await run(3);
		video.pause();
		expect(player.view.phase).toBe('paused');
		fail('networkError', 'manifestLoadError');
		await vi.advanceTimersByTimeAsync(500);
		expect(video.paused).toBe(true);
	});
});

describe('the live edge', () => {
	test('no word of it before the first picture', async () => {
		const { player } = await make();
		await vi.advanceTimersByTimeAsync(5_000);
		expect([player.view.edge, player.view.latency]).toEqual([null, null]);
	});

	test('live, behind, and back', async () => {
		const { player, hls, video, run } = await make();
		await run(2);
		expect([player.view.edge, player.view.latency]).toEqual(['live', 6]);
		hls.latency = 40;
		await run(1);
		expect([player.view.edge, player.view.latency]).toEqual(['behind', 40]);
		player.goLive();
		expect(video.currentTime).toBe(100);
	});

	test('its distance is wall clock minus programme date, playing, stalled and paused', async () => {
		const { player, hls, run } = await make();
		const view = () => [player.view.edge, player.view.latency, player.view.stalledFor, player.view.latencyBy];
		hls.playingDate = new Date(Date.now() - 7_000 + 3_000);
		await run(3);
		expect(view()).toEqual(['live', 7, 0, 'clock']);
		await vi.advanceTimersByTimeAsync(4_000);
		expect(view()).toEqual(['stalled', 11, 4, 'clock']);
		player.pause();
		await vi.advanceTimersByTimeAsync(8_000);
		expect(view()).toEqual(['paused', 19, 0, 'clock']);
	});

	test('a reload that finds nothing forgets neither the picture nor its date', async () => {
		const { player, hls, run } = await make();
		hls.playingDate = new Date(Date.now() - 7_000 + 3_000);
		await run(3);
		Object.assign(hls, { latestLevelDetails: null, playingDate: null, latency: 0, liveSyncPosition: null });
		await vi.advanceTimersByTimeAsync(20_000);
		const { edge, latency, latencyBy, stalledFor } = player.view;
		expect([edge, latency, latencyBy, stalledFor]).toEqual(['stalled', 27, 'clock', 20]);
	});

	test('without a date in the playlist the time that the picture stands still is added', async () => {
		const { player, run } = await make();
		await run(3);
		player.pause();
		await vi.advanceTimersByTimeAsync(8_000);
		const { edge, latency, latencyBy } = player.view;
		expect([edge, latencyBy]).toEqual(['paused', 'playlist']);
		expect(latency).toBeGreaterThanOrEqual(14);
		expect(latency).toBeLessThan(15);
	});

	test.each([
		['two hours slow', 7_200_000],
		['ten seconds fast', -10_000],
	])('a clock that is %s tells nothing', async (_, age) => {
		const { player, hls, run } = await make();
		const fragments = [{ programDateTime: Date.now() - age - 2_000, duration: 2 }];
		hls.emit(Events.LEVEL_UPDATED, { details: { advanced: true, fragments } });
		hls.playingDate = new Date(Date.now() - age - 6_000);
		await run(2);
		expect([player.view.latency, player.view.latencyBy]).toEqual([6, 'playlist']);
	});
});

test.each([
	[503, true],
	[undefined, false],
])('a playlist that ended in %s: the edge answered: %s', async (status, answered) => {
	const { player, fail } = await make();
	fail('networkError', 'manifestLoadError', true, status);
	expect(player.view.trouble?.answered).toBe(answered);
});

test('media without an answer, and media again, is told', async () => {
	const told: boolean[] = [];
	const { hls, fail } = await make({ onanswer: (answered) => told.push(answered) });
	fail('networkError', 'fragLoadError', false, 503);
	hls.emit(Events.FRAG_BUFFERED);
	fail('networkError', 'fragLoadError', false);
	hls.emit(Events.FRAG_BUFFERED);
	hls.emit(Events.FRAG_BUFFERED);
	expect(told).toEqual([true, false, true]);
});

test('low latency only when the stream has parts', async () => {
	const { hls } = await make();
	hls.emit(Events.LEVEL_LOADED, { details: { partList: null } });
	expect(hls.lowLatencyMode).toBe(false);
	hls.emit(Events.LEVEL_LOADED, { details: { partList: [{}] } });
	expect(hls.lowLatencyMode).toBe(true);
});

test("the browser's own HLS, where hls.js cannot run", async () => {
	const { video } = await make({ native: true });
	expect([video.src, video.paused]).toEqual([URL, false]);
});
