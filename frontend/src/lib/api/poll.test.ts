import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Poll } from './poll';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

function make(task: () => Promise<unknown>, more: Partial<ConstructorParameters<typeof Poll>[0]> = {}) {
	return new Poll({ task, every: 10_000, jitter: 0, visible: () => true, ...more });
}

test('at once, then every ten seconds', async () => {
	const task = vi.fn(async () => {});
	make(task).start();
	await vi.advanceTimersByTimeAsync(0);
	expect(task).toHaveBeenCalledTimes(1);
	await vi.advanceTimersByTimeAsync(30_000);
	expect(task).toHaveBeenCalledTimes(4);
});

test('later: the first round after one interval', async () => {
	const task = vi.fn(async () => {});
	make(task).start({ later: true });
	await vi.advanceTimersByTimeAsync(9_999);
	expect(task).toHaveBeenCalledTimes(0);
	await vi.advanceTimersByTimeAsync(1);
	expect(task).toHaveBeenCalledTimes(1);
});

test('jitter adds up to its share', async () => {
	const poll = make(async () => {}, { jitter: 0.2, random: () => 0.5 });
	poll.start();
	await vi.advanceTimersByTimeAsync(0);
	expect(poll.next).toBe(11_000);
});

test('failure doubles the wait up to the longest; success restores it', async () => {
	let broken = true;
	const poll = make(async () => {
		if (broken) throw new Error('down');
	});
	poll.start();
	const waits: number[] = [];
	for (let round = 0; round < 5; round += 1) {
		await vi.advanceTimersByTimeAsync(0);
		waits.push((poll.next ?? 0) - Date.now());
		if (round === 3) broken = false;
		await vi.advanceTimersByTimeAsync((poll.next ?? 0) - Date.now());
	}
	expect(waits).toEqual([20_000, 40_000, 60_000, 60_000, 10_000]);
});

test('hidden: silent; visible again: catches up at once, but only when due', async () => {
	let visible = true;
	const task = vi.fn(async () => {});
	const poll = make(task, { visible: () => visible });
	poll.start();
	await vi.advanceTimersByTimeAsync(1_000);
	visible = false;
	await vi.advanceTimersByTimeAsync(120_000);
	expect(task).toHaveBeenCalledTimes(1);
	visible = true;
	poll.wake();
	poll.wake();
	await vi.advanceTimersByTimeAsync(0);
	expect(task).toHaveBeenCalledTimes(2);
	poll.wake();
	expect(task).toHaveBeenCalledTimes(2);
});

test('a round under way is joined, never doubled', async () => {
	let finish = () => {};
	const task = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
	const poll = make(task);
	const [one, two] = [poll.now(), poll.now()];
	finish();
	await Promise.all([one, two]);
	expect(task).toHaveBeenCalledTimes(1);
});

test('stopped in the middle of a round: no more rounds', async () => {
	let finish = () => {};
	const task = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
	const poll = make(task);
	poll.start();
	poll.stop();
	finish();
	await vi.advanceTimersByTimeAsync(60_000);
	expect(task).toHaveBeenCalledTimes(1);
});
