import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Poll } from './poll';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

function createPoll(
	task: () => Promise<unknown>,
	overrides: Partial<ConstructorParameters<typeof Poll>[0]> = {},
) {
	return new Poll({ task, intervalMs: 10_000, jitter: 0, isVisible: () => true, ...overrides });
}

test('the first round is at once, the next ones every ten seconds', async () => {
	const task = vi.fn(async () => {});
	createPoll(task).start();
	await vi.advanceTimersByTimeAsync(0);
	expect(task).toHaveBeenCalledTimes(1);
	await vi.advanceTimersByTimeAsync(30_000);
	expect(task).toHaveBeenCalledTimes(4);
});

test('with delayFirst the first round is after one interval', async () => {
	const task = vi.fn(async () => {});
	createPoll(task).start({ delayFirst: true });
	await vi.advanceTimersByTimeAsync(9_999);
	expect(task).toHaveBeenCalledTimes(0);
	await vi.advanceTimersByTimeAsync(1);
	expect(task).toHaveBeenCalledTimes(1);
});

test('jitter adds up to its share of the interval', async () => {
	const poll = createPoll(async () => {}, { jitter: 0.2, random: () => 0.5 });
	poll.start();
	await vi.advanceTimersByTimeAsync(0);
	expect(poll.nextDueAt).toBe(11_000);
});

test('failure doubles the delay up to the maximum, and success restores it', async () => {
	let failing = true;
	const poll = createPoll(async () => {
		if (failing) throw new Error('down');
	});
	poll.start();
	const waits: number[] = [];
	for (let round = 0; round < 5; round += 1) {
		await vi.advanceTimersByTimeAsync(0);
		waits.push((poll.nextDueAt ?? 0) - Date.now());
		if (round === 3) failing = false;
		await vi.advanceTimersByTimeAsync((poll.nextDueAt ?? 0) - Date.now());
	}
	expect(waits).toEqual([20_000, 40_000, 60_000, 60_000, 10_000]);
});

test('a hidden page runs no rounds, and a page that is visible again runs one at once if it is due', async () => {
	let visible = true;
	const task = vi.fn(async () => {});
	const poll = createPoll(task, { isVisible: () => visible });
	poll.start();
	await vi.advanceTimersByTimeAsync(1_000);
	visible = false;
	await vi.advanceTimersByTimeAsync(120_000);
	expect(task).toHaveBeenCalledTimes(1);
	visible = true;
	poll.catchUp();
	poll.catchUp();
	await vi.advanceTimersByTimeAsync(0);
	expect(task).toHaveBeenCalledTimes(2);
	poll.catchUp();
	expect(task).toHaveBeenCalledTimes(2);
});

test('runNow during a round returns that round', async () => {
	let finish = () => {};
	const task = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
	const poll = createPoll(task);
	const [one, two] = [poll.runNow(), poll.runNow()];
	finish();
	await Promise.all([one, two]);
	expect(task).toHaveBeenCalledTimes(1);
});

test('a poll that is stopped during a round runs no more rounds', async () => {
	let finish = () => {};
	const task = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
	const poll = createPoll(task);
	poll.start();
	poll.stop();
	finish();
	await vi.advanceTimersByTimeAsync(60_000);
	expect(task).toHaveBeenCalledTimes(1);
});
