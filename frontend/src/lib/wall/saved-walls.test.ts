import { expect, test, vi } from 'vitest';
import { fakeStorage } from '$lib/testing/fake-storage';
import { SavedWalls } from './saved-walls.svelte';

test('walls are stored by name, and the last one without', () => {
	vi.stubGlobal('localStorage', fakeStorage());
	const savedWalls = new SavedWalls();
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

test('damaged or forbidden storage is no storage', () => {
	const items = fakeStorage();
	items.setItem('pitwall:walls', '{"Race');
	vi.stubGlobal('localStorage', {
		...items,
		setItem: () => {
			throw new Error('quota');
		},
	});
	const savedWalls = new SavedWalls();
	expect(savedWalls.named).toEqual([]);
	savedWalls.save('Race', '?l=1&s=a');
	expect(savedWalls.named).toEqual([]);
});
