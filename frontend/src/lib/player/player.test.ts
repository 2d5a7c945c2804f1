import Hls from 'hls.js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeHls, FakeVideo } from './fakes';
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

async function createPlayer({
	autoplayPolicy = 'sound',
	audible = true,
	native = false,
	onresponse,
}: {
	autoplayPolicy?: FakeVideo['autoplayPolicy'];
	audible?: boolean;
	native?: boolean;
	onresponse?: (answered: boolean) => void;
} = {}) {
	const video = new FakeVideo(autoplayPolicy);
	const player = new Player({
		id: 'tile-1',
		video: video as unknown as HTMLVideoElement,
		Hls: native ? null : (FakeHls as unknown as typeof Hls),
		audible,
		onview: () => {},
		...(onresponse && { onresponse }),
	});
	players.push(player);
	const hls = FakeHls.instances.at(-1) as FakeHls;
	player.load(URL);
	await vi.advanceTimersByTimeAsync(0);
	const loadCount = () => hls.calls.filter((call) => call.startsWith('loadSource')).length;
	const emitError = (type: string, details: string, fatal = true, code?: number) =>
		hls.emit(Events.ERROR, { type, details, fatal, response: code && { code } });
	/** Moves the playhead and the clock on by this many seconds. */
	const playFor = async (seconds: number) => {
		if (player.view.phase !== 'playing') video.dispatchEvent(new Event('playing'));
		for (let second = 0; second < seconds; second += 1) {
			video.currentTime += 1;
			await vi.advanceTimersByTimeAsync(1_000);
		}
	};
	return { player, video, hls, loadCount, fail: emitError, playFor };
}

describe('autoplay', () => {
	test('a tile begins with sound where the browser allows it', async () => {
		const { player, video } = await createPlayer();
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, false, false]);
	});

	test('a tile begins muted where the browser refuses sound, and one tap unmutes it', async () => {
		const { player, video } = await createPlayer({ autoplayPolicy: 'muted' });
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, true, true]);
		player.setMuted(false);
		expect([video.muted, player.view.soundBlocked]).toEqual([false, false]);
	});

	test('a tile begins on a tap where the browser refuses autoplay', async () => {
		const { player, video } = await createPlayer({ autoplayPolicy: 'never' });
		expect([player.view.playBlocked, player.view.phase]).toEqual([true, 'paused']);
		video.autoplayPolicy = 'sound';
		player.play();
		await vi.advanceTimersByTimeAsync(0);
		expect([player.view.playBlocked, video.paused]).toEqual([false, false]);
	});

	test('a tile that is not the audible one begins muted and does not ask for sound', async () => {
		const { player, video } = await createPlayer({ autoplayPolicy: 'muted', audible: false });
		expect([video.paused, video.muted, player.view.soundBlocked]).toEqual([false, true, false]);
	});

	test('loading the same playlist again does nothing', async () => {
		const { player, loadCount } = await createPlayer();
		player.load(URL);
		expect(loadCount()).toBe(1);
	});
});

describe('recovery', () => {
	test('a non-fatal error is counted until media arrives', async () => {
		const { player, hls, fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'fragLoadError', false);
		expect([player.view.minorErrors, player.view.failure, loadCount()]).toEqual([1, null, 1]);
		hls.emit(Events.FRAG_BUFFERED);
		expect(player.view.minorErrors).toBe(0);
	});

	test('a media error is recovered in place; twice in five seconds reloads', async () => {
		const { hls, fail: emitError, loadCount } = await createPlayer();
		emitError('mediaError', 'bufferAppendError');
		expect(hls.calls).toContain('recoverMediaError');
		emitError('mediaError', 'bufferAppendError');
		await vi.advanceTimersByTimeAsync(500);
		expect([hls.calls.filter((call) => call === 'recoverMediaError').length, loadCount()]).toEqual([1, 2]);
	});

	test('a segment that fails: startLoad after a delay, then a reload', async () => {
		const { hls, fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'fragLoadError');
		expect(hls.calls).not.toContain('startLoad');
		await vi.advanceTimersByTimeAsync(1_000);
		expect(hls.calls).toContain('startLoad');
		emitError('networkError', 'levelLoadError');
		await vi.advanceTimersByTimeAsync(500);
		expect(loadCount()).toBe(2);
	});

	test('a playlist that stays unchanged reloads although hls.js reports no fatal error', async () => {
		const { fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'playlistUnchangedError', false);
		await vi.advanceTimersByTimeAsync(500);
		expect(loadCount()).toBe(2);
	});

	test.each(['levelLoadError', 'audioTrackLoadError', 'subtitleTrackLoadError'])(
		'a rendition that is gone (%s) loads the multivariant playlist at once',
		async (details) => {
			const { player, hls, fail: emitError, loadCount } = await createPlayer();
			emitError('networkError', details, false, 503);
			await vi.advanceTimersByTimeAsync(5_000);
			expect(loadCount()).toBe(1);
			emitError('networkError', details, false, 404);
			emitError('networkError', 'levelLoadError', false, 404);
			emitError('networkError', 'levelLoadError', true, 404);
			await vi.advanceTimersByTimeAsync(0);
			expect([loadCount(), player.view.phase]).toEqual([2, 'loading']);
			hls.emit(Events.FRAG_BUFFERED);
			expect(player.view.failure).toBe(null);
		},
	);

	test('all down: the view says so, the playlist is reloaded every five seconds, media ends it', async () => {
		const { player, hls, video, fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'manifestLoadError');
		await vi.advanceTimersByTimeAsync(500);
		emitError('networkError', 'manifestLoadError');
		expect([player.view.phase, player.view.failure?.retryAt]).toEqual(['down', Date.now() + 5_000]);

		const before = loadCount();
		for (let round = 0; round < 12; round += 1) {
			await vi.advanceTimersByTimeAsync(5_000);
			emitError('networkError', 'manifestLoadError');
		}
		expect(loadCount() - before).toBe(12);
		expect(player.view.phase).toBe('down');

		await vi.advanceTimersByTimeAsync(5_000);
		hls.emit(Events.FRAG_BUFFERED);
		video.dispatchEvent(new Event('playing'));
		expect([player.view.phase, player.view.failure]).toEqual(['playing', null]);
		expect(hls.calls).not.toContain('destroy');
	});

	test('a stall jumps to the live edge after eight seconds, then reloads', async () => {
		const { video, playFor, loadCount } = await createPlayer();
		await playFor(5);
		await vi.advanceTimersByTimeAsync(9_000);
		expect([video.currentTime, loadCount()]).toEqual([100, 1]);
		await vi.advanceTimersByTimeAsync(9_500);
		expect(loadCount()).toBe(2);
	});

	test('a paused tile is not stalled', async () => {
		const { player, playFor, loadCount } = await createPlayer();
		await playFor(5);
		player.pause();
		await vi.advanceTimersByTimeAsync(120_000);
		expect([player.view.phase, loadCount()]).toEqual(['paused', 1]);
	});

	test('another stream starts without the faults of the last one', async () => {
		const { player, fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'manifestLoadError');
		player.load('/live/onboard-44/index.m3u8');
		await vi.advanceTimersByTimeAsync(10_000);
		expect([loadCount(), player.view.failure]).toEqual([2, null]);
	});

	test('a destroyed player does not run its pending reload', async () => {
		const { player, fail: emitError, loadCount } = await createPlayer();
		emitError('networkError', 'manifestLoadError');
		player.destroy();
		await vi.advanceTimersByTimeAsync(60_000);
		expect(loadCount()).toBe(1);
	});
});

describe('what the viewer chose', () => {
	const levels = [
		{ height: 360, bitrate: 900_000, frameRate: 25 },
		{ height: 720, bitrate: 3_000_000, frameRate: 25 },
	];

	test('a quality survives a reload that lists the levels in another order', async () => {
		const { player, hls } = await createPlayer();
		hls.emit(Events.MANIFEST_PARSED, { levels });
		player.setQuality(1);
		expect([hls.nextLevel, player.view.selectedLevel]).toEqual([1, 1]);
		hls.emit(Events.MANIFEST_PARSED, { levels: [...levels].reverse() });
		expect([hls.nextLevel, player.view.selectedLevel]).toEqual([0, 0]);
	});

	test('a tile is heard only while it is the audible one', async () => {
		const { player, video } = await createPlayer();
		player.setAudible(false);
		expect(video.muted).toBe(true);
		player.setAudible(true);
		expect(video.muted).toBe(false);
	});

	test('volume zero mutes, and a higher volume unmutes', async () => {
		const { player, video } = await createPlayer();
		player.setVolume(-1);
		expect([video.volume, video.muted]).toEqual([0, true]);
		player.setVolume(0.5);
		expect([video.volume, video.muted]).toEqual([0.5, false]);
	});

	test('after a pause by media keys a reload stays paused', async () => {
		const { player, video, playFor, fail: emitError } = await createPlayer();
		await playFor(3);
		video.pause();
		expect(player.view.phase).toBe('paused');
		emitError('networkError', 'manifestLoadError');
		await vi.advanceTimersByTimeAsync(500);
		expect(video.paused).toBe(true);
	});
});

describe('the live edge', () => {
	test('there is no live edge and no latency before the first frame', async () => {
		const { player } = await createPlayer();
		await vi.advanceTimersByTimeAsync(5_000);
		expect([player.view.liveEdge, player.view.latency]).toEqual([null, null]);
	});

	test('the view is live, then behind, and goLive seeks to the live edge', async () => {
		const { player, hls, video, playFor } = await createPlayer();
		await playFor(2);
		expect([player.view.liveEdge, player.view.latency]).toEqual(['live', 6]);
		hls.latency = 40;
		await playFor(1);
		expect([player.view.liveEdge, player.view.latency]).toEqual(['behind', 40]);
		player.goLive();
		expect(video.currentTime).toBe(100);
	});

	test('latency is wall clock minus programme date: playing, stalled and paused', async () => {
		const { player, hls, playFor } = await createPlayer();
		const view = () => [
			player.view.liveEdge,
			player.view.latency,
			player.view.stalledSeconds,
			player.view.latencyBasis,
		];
		hls.playingDate = new Date(Date.now() - 7_000 + 3_000);
		await playFor(3);
		expect(view()).toEqual(['live', 7, 0, 'clock']);
		await vi.advanceTimersByTimeAsync(4_000);
		expect(view()).toEqual(['stalled', 11, 4, 'clock']);
		player.pause();
		await vi.advanceTimersByTimeAsync(8_000);
		expect(view()).toEqual(['paused', 19, 0, 'clock']);
	});

	test('a reload without a playlist keeps the last frame and its programme date', async () => {
		const { player, hls, playFor } = await createPlayer();
		hls.playingDate = new Date(Date.now() - 7_000 + 3_000);
		await playFor(3);
		Object.assign(hls, { latestLevelDetails: null, playingDate: null, latency: 0, liveSyncPosition: null });
		await vi.advanceTimersByTimeAsync(20_000);
		const { liveEdge, latency, latencyBasis, stalledSeconds } = player.view;
		expect([liveEdge, latency, latencyBasis, stalledSeconds]).toEqual(['stalled', 27, 'clock', 20]);
	});

	test('without programme dates the time since the last frame is added to the latency', async () => {
		const { player, playFor } = await createPlayer();
		await playFor(3);
		player.pause();
		await vi.advanceTimersByTimeAsync(8_000);
		const { liveEdge, latency, latencyBasis } = player.view;
		expect([liveEdge, latencyBasis]).toEqual(['paused', 'playlist']);
		expect(latency).toBeGreaterThanOrEqual(14);
		expect(latency).toBeLessThan(15);
	});

	test.each([
		['two hours slow', 7_200_000],
		['ten seconds fast', -10_000],
	])('programme dates of a clock that is %s are ignored', async (_, age) => {
		const { player, hls, playFor } = await createPlayer();
		const fragments = [{ programDateTime: Date.now() - age - 2_000, duration: 2 }];
		hls.emit(Events.LEVEL_UPDATED, { details: { advanced: true, fragments } });
		hls.playingDate = new Date(Date.now() - age - 6_000);
		await playFor(2);
		expect([player.view.latency, player.view.latencyBasis]).toEqual([6, 'playlist']);
	});
});

test.each([
	[503, true],
	[undefined, false],
])('a playlist that failed with status %s: the edge answered: %s', async (status, answered) => {
	const { player, fail: emitError } = await createPlayer();
	emitError('networkError', 'manifestLoadError', true, status);
	expect(player.view.failure?.answered).toBe(answered);
});

test('onresponse reports media without a response, and media that comes again', async () => {
	const responses: boolean[] = [];
	const { hls, fail: emitError } = await createPlayer({ onresponse: (answered) => responses.push(answered) });
	emitError('networkError', 'fragLoadError', false, 503);
	hls.emit(Events.FRAG_BUFFERED);
	emitError('networkError', 'fragLoadError', false);
	hls.emit(Events.FRAG_BUFFERED);
	hls.emit(Events.FRAG_BUFFERED);
	expect(responses).toEqual([true, false, true]);
});

test('low-latency mode is turned on only for a playlist with partial segments', async () => {
	const { hls } = await createPlayer();
	hls.emit(Events.LEVEL_LOADED, { details: { partList: null } });
	expect(hls.lowLatencyMode).toBe(false);
	hls.emit(Events.LEVEL_LOADED, { details: { partList: [{}] } });
	expect(hls.lowLatencyMode).toBe(true);
});

test('the figures name the request of the last playlist, by which its log line is found', async () => {
	const { hls, player, video } = await createPlayer();
	Object.assign(video, { buffered: { length: 0 } });
	const request = () => new Map(player.stats()).get('Request');
	expect(request()).toBe('–');
	const getResponseHeader = (name: string) => (name === 'x-request-id' ? '4bf92f35' : null);
	hls.emit(Events.LEVEL_LOADED, { details: { partList: null }, networkDetails: { getResponseHeader } });
	expect(request()).toBe('4bf92f35');
	// A response without one is no reason to name another request.
	hls.emit(Events.LEVEL_LOADED, { details: { partList: null }, networkDetails: null });
	expect(request()).toBe('–');
});

test('native HLS plays where hls.js cannot run', async () => {
	const { video } = await createPlayer({ native: true });
	expect([video.src, video.paused]).toEqual([URL, false]);
});

test('what the browser plays itself has a clock, a live edge and a range to seek in', async () => {
	const { player, video, playFor } = await createPlayer({ native: true });
	const now = () => Date.now();
	video.startDate = new Date(now() - 120_000);
	Object.assign(video.held, { start: 20, end: 115 });
	video.currentTime = 113;
	video.dispatchEvent(new Event('playing'));
	expect(player.position()).toBeNull();
	for (let second = 0; second < 2; second += 1) {
		video.held.end += 1;
		await playFor(1);
	}
	expect(player.view).toMatchObject({ liveEdge: 'live', latency: 7, latencyBasis: 'clock' });
	expect(player.position()).toMatchObject({ date: now() - 7_000, edge: now() - 5_000, basis: 'clock' });

	player.seekBy(-1_000);
	expect(video.currentTime).toBe(20);
	player.seekBy(1_000);
	expect(video.currentTime).toBe(116.5);
	player.seekBy(-60);
	await playFor(1);
	expect(player.view.liveEdge).toBe('behind');
	player.goLive();
	expect(video.currentTime).toBe(115);
});
