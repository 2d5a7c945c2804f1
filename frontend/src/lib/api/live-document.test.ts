import { flushSync } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runInEffect } from '$lib/testing/effect.svelte';
import { LiveDocument } from './live-document.svelte';

const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
let requests = 0;

beforeEach(() => {
	vi.useFakeTimers({ now: 0 });
	vi.stubGlobal('document', page);
	vi.stubGlobal('fetch', async () => {
		requests += 1;
		return Response.json({ requests });
	});
	vi.spyOn(Math, 'random').mockReturnValue(0);
	page.visibilityState = 'visible';
	requests = 0;
});
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
});

/** Advances the timers second by second, and runs pending effects after each. */
async function advance(seconds: number) {
	for (let second = 0; second < seconds; second += 1) {
		await vi.advanceTimersByTimeAsync(1_000);
		flushSync();
	}
}

function setVisibility(state: string) {
	page.visibilityState = state;
	page.dispatchEvent(new Event('visibilitychange'));
}

test('an effect that follows a document requests it once per interval', async () => {
	const status = new LiveDocument('/api/status', { intervalMs: 10_000 });
	const stop = runInEffect(() => status.follow());
	await advance(99);
	expect([requests, vi.getTimerCount()]).toEqual([10, 1]);
	stop();
	await advance(60);
	expect([requests, vi.getTimerCount()]).toEqual([10, 0]);
});

test('a value that was inlined in the shell is not requested again at once', async () => {
	const document = new LiveDocument('/api/streams', { intervalMs: 10_000 });
	document.accept({});
	const stop = runInEffect(() => document.follow());
	await advance(100);
	expect(requests).toBe(10);
	stop();
});

test('while the page is hidden nothing is requested, neither at first nor later', async () => {
	setVisibility('hidden');
	const document = new LiveDocument('/api/status', { intervalMs: 10_000 });
	void document.ready();
	const stop = runInEffect(() => document.follow());
	await advance(120);
	expect(requests).toBe(0);
	setVisibility('visible');
	await advance(1);
	expect(requests).toBe(1);
	setVisibility('hidden');
	await advance(120);
	expect(requests).toBe(1);
	stop();
});
