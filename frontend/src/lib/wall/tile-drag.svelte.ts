/** What a viewer drags: a tile to another place, or a stream from the list into a tile. */
export type DragLoad = { kind: 'tile'; id: string } | { kind: 'stream'; id: string };

const DRAG_AFTER_PX = 6;

/**
 * A drag with mouse, pen or finger. It begins once the pointer has moved a little, so that a click stays a click, and
 * ends in the place under the pointer: an element with `data-place`, the index of the place.
 */
export class TileDrag {
	/** What is being dragged; null before the pointer has moved enough. */
	load = $state.raw<DragLoad | null>(null);
	/** The place under the pointer; -1 outside of the wall. */
	place = $state(-1);
	readonly #ondrop: (load: DragLoad, place: number) => void;

	constructor(ondrop: (load: DragLoad, place: number) => void) {
		this.#ondrop = ondrop;
	}

	onpointerdown(event: PointerEvent, load: DragLoad): void {
		if (event.button !== 0 || !event.isPrimary) return;
		const { clientX, clientY, pointerId } = event;
		const listeners = new AbortController();
		const on = (type: string, handler: (event: PointerEvent) => void) =>
			addEventListener(
				type,
				(later) => {
					if ((later as PointerEvent).pointerId === pointerId) handler(later as PointerEvent);
				},
				{ signal: listeners.signal },
			);
		const end = () => {
			listeners.abort();
			this.load = null;
			this.place = -1;
		};
		on('pointermove', (later) => {
			if (!this.load && Math.hypot(later.clientX - clientX, later.clientY - clientY) < DRAG_AFTER_PX) return;
			this.load = load;
			this.place = placeAt(later.clientX, later.clientY);
		});
		on('pointerup', () => {
			const { load: dropped, place } = this;
			end();
			if (!dropped) return;
			swallowClick();
			if (place >= 0) this.#ondrop(dropped, place);
		});
		on('pointercancel', end);
		addEventListener('keydown', ({ key }) => key === 'Escape' && end(), { signal: listeners.signal });
	}
}

function placeAt(x: number, y: number): number {
	const place = document.elementFromPoint(x, y)?.closest('[data-place]')?.getAttribute('data-place');
	return place ? Number(place) : -1;
}

/** The pointer's release also makes a click, which must not press what the viewer dragged. */
function swallowClick(): void {
	const listener = (event: MouseEvent) => {
		event.stopPropagation();
		event.preventDefault();
	};
	addEventListener('click', listener, { capture: true, once: true });
	setTimeout(() => removeEventListener('click', listener, { capture: true }));
}
