import { flushSync } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { inEffect } from '$lib/testing/effect.svelte';
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

/** Lets time pass, and effects run after each answer. */
async function pass(seconds: number) {
	for (let second = 0; second < seconds; second += 1) {
		await vi.advanceTimersByTimeAsync(1_000);
		flushSync();
	}
}

function look(state: string) {
	page.visibilityState = state;
	page.dispatchEvent(new Event('visibilitychange'));
}

test('an effect that follows asks once a round', async () => {
	const status = new LiveDocument('/api/status', { every: 10_000 });
	const stop = inEffect(() => status.follow());
	await pass(99);
	expect([requests, vi.getTimerCount()]).toEqual([10, 1]);
	stop();
	await pass(60);
	expect([requests, vi.getTimerCount()]).toEqual([10, 0]);
});

test('an answer inlined in the shell and read by the effect is no reason to ask anew', async () => {
	const document = new LiveDocument('/api/streams', { every: 10_000 });
	document.offer({});
	const stop = inEffect(() => document.follow());
	await pass(100);
	expect(requests).toBe(10);
	stop();
});

test('hidden: nothing is asked, neither at first nor later', async () => {
	look('hidden');
	const document = new LiveDocument('/api/status', { every: 10_000 });
	void document.ready();
	const stop = inEffect(() => document.follow());
	await pass(120);
	expect(requests).toBe(0);
	look('visible');
	await pass(1);
	expect(requests).toBe(1);
	look('hidden');
	await pass(120);
	expect(requests).toBe(1);
	stop();
});
