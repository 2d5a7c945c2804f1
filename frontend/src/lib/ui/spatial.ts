export type Direction = 'left' | 'right' | 'up' | 'down';

export type Box = Pick<DOMRect, 'left' | 'right' | 'top' | 'bottom'>;

/** The direction of an arrow key; null for other keys. */
export function directionOf(key: string): Direction | null {
	const direction = /^Arrow(Left|Right|Up|Down)$/.exec(key)?.[1]?.toLowerCase();
	return (direction as Direction | undefined) ?? null;
}

/** The candidate that a viewer means who presses an arrow while `from` is focused: near, and straight ahead. */
export function nearestInDirection<T>(
	from: Box,
	candidates: readonly { item: T; box: Box }[],
	direction: Direction,
): T | null {
	let nearest: { item: T; cost: number } | null = null;
	for (const { item, box } of candidates) {
		const ahead = distanceAhead(from, box, direction);
		if (ahead === null) continue;
		const sideways =
			direction === 'left' || direction === 'right'
				? gap(from.top, from.bottom, box.top, box.bottom)
				: gap(from.left, from.right, box.left, box.right);
		const cost = ahead + 3 * sideways;
		if (!nearest || cost < nearest.cost) nearest = { item, cost };
	}
	return nearest?.item ?? null;
}

/** Boxes that overlap by less than this still stand beside each other. */
const OVERLAP_TOLERANCE_PX = 4;

/** Pixels from `from` to a box that lies in this direction; null if it does not. */
function distanceAhead(from: Box, box: Box, direction: Direction): number | null {
	const distance = {
		left: from.left - box.right,
		right: box.left - from.right,
		up: from.top - box.bottom,
		down: box.top - from.bottom,
	}[direction];
	return distance < -OVERLAP_TOLERANCE_PX ? null : Math.max(0, distance);
}

/** Pixels between two ranges; 0 where they overlap. */
function gap(from: number, to: number, otherFrom: number, otherTo: number): number {
	return Math.max(0, otherFrom - to, from - otherTo);
}
