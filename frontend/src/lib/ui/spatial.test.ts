import { expect, test } from 'vitest';
import { directionOf, nearestInDirection, type Direction } from './spatial';

/** Boxes of a wall `1p3`: a large one at the left, three small ones at the right; below them a bar of two buttons. */
const boxes: Record<string, [left: number, top: number, right: number, bottom: number]> = {
	big: [0, 0, 300, 300],
	top: [310, 0, 400, 95],
	middle: [310, 105, 400, 195],
	low: [310, 205, 400, 300],
	layout: [0, 320, 60, 350],
	share: [340, 320, 400, 350],
};
const box = (name: string) => {
	const [left = 0, top = 0, right = 0, bottom = 0] = boxes[name] ?? [];
	return { left, top, right, bottom };
};

test.each<[string, Direction, string | null]>([
	['big', 'right', 'top'],
	['top', 'down', 'middle'],
	['middle', 'down', 'low'],
	['low', 'down', 'share'],
	['low', 'left', 'big'],
	['share', 'up', 'low'],
	['big', 'down', 'layout'],
	['layout', 'right', 'share'],
	['big', 'left', null],
	['top', 'up', null],
])('from %s to the %s: %s', (from, direction, expected) => {
	const candidates = Object.keys(boxes)
		.filter((name) => name !== from)
		.map((item) => ({ item, box: box(item) }));
	expect(nearestInDirection(box(from), candidates, direction)).toBe(expected);
});

test.each([
	['ArrowLeft', 'left'],
	['ArrowDown', 'down'],
	['Enter', null],
	['Left', null],
])('%s points %s', (key, direction) => expect(directionOf(key)).toBe(direction));
