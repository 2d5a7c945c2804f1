import { expect, test, vi } from 'vitest';
import { fakeStorage } from '$lib/testing/fake-storage';

test('walls are stored by name, and the last one without', async () => {
	vi.stubGlobal('localStorage', fakeStorage());
	const { savedWalls } = await import('./saved-walls.svelte');
	savedWalls.save('Race', '?l=2&s=a,b');
	savedWalls.save('Box office', '?l=1&s=a');
	savedWalls.save('Race', '?l=2x2&s=a,b,c,d');
	expect(savedWalls.named).toEqual([
		['Box office', '?l=1&s=a'],
		['Race', '?l=2x2&s=a,b,c,d'],
	]);
	savedWalls.remove('Box office');
	expect(savedWalls.named.map(([name]) => name)).toEqual(['Race']);
	expect(savedWalls.last).toBeNull();
	savedWalls.last = '?l=1&s=c';
	expect(savedWalls.last).toBe('?l=1&s=c');
});

test('damaged or forbidden storage is no storage', async () => {
	vi.resetModules();
	const items = fakeStorage();
	items.setItem('pitwall:walls', '{"Race');
	vi.stubGlobal('localStorage', {
		...items,
		setItem: () => {
			throw new Error('quota');
		},
	});
	const { savedWalls } = await import('./saved-walls.svelte');
	expect(savedWalls.named).toEqual([]);
	savedWalls.save('Race', '?l=1&s=a');
	expect(savedWalls.named).toEqual([]);
});
