const IDLE_AFTER = 3_000;

/** Whether a tile's controls rest, and which taps are spent on bringing them back. */
export class ControlsVisibility {
	idle = $state(false);
	/** How the tile was pressed last: a device may have a mouse, a pen and a touch screen. */
	pressedBy = 'mouse';
	#consumesClick = false;
	#timer: ReturnType<typeof setTimeout> | undefined;

	show(): void {
		this.idle = false;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => (this.idle = true), IDLE_AFTER);
	}

	hide(): void {
		clearTimeout(this.#timer);
		this.idle = true;
	}

	stop(): void {
		clearTimeout(this.#timer);
	}

	/** `resting`: nothing of the controls is on screen. What stands there all the same may be tapped. */
	onpointerdown(
		{ pointerType, target }: Pick<PointerEvent, 'pointerType' | 'target'>,
		resting: boolean,
	): void {
		this.pressedBy = pointerType;
		const onControl = (target as Element | null)?.closest?.('button, a, input, [role=menu]');
		this.#consumesClick = resting && pointerType !== 'mouse' && !onControl;
		this.show();
	}

	onpointermove({ pointerType }: Pick<PointerEvent, 'pointerType'>): void {
		if (pointerType !== 'touch') this.show();
	}

	/** A finger leaves whenever it lifts, and a pen may: only a mouse that leaves is done here. */
	onpointerleave({ pointerType }: Pick<PointerEvent, 'pointerType'>): void {
		if (pointerType === 'mouse') this.hide();
	}

	/**
	 * Before any control is told of a click. The tap that showed the controls ends here: they may have come up
	 * under the finger. A long press or a swipe ends without a click; a key's click (`detail` 0) that follows is
	 * not the finger's.
	 */
	onclickcapture(event: Pick<UIEvent, 'detail' | 'stopPropagation' | 'preventDefault'>): void {
		const consumed = this.#consumesClick && event.detail > 0;
		this.#consumesClick = false;
		if (!consumed) return;
		event.stopPropagation();
		event.preventDefault();
	}
}
