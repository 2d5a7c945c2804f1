const HIDE_AFTER_MS = 3_000;

/** Decides when a tile's controls are hidden, and which taps only bring the controls back. */
export class ControlsVisibility {
	idle = $state(false);
	/** The pointer type of the last press: one device may have a mouse, a pen and a touch screen. */
	lastPointerType = 'mouse';
	#swallowNextClick = false;
	#hideTimer: ReturnType<typeof setTimeout> | undefined;

	show(): void {
		this.idle = false;
		clearTimeout(this.#hideTimer);
		this.#hideTimer = setTimeout(() => (this.idle = true), HIDE_AFTER_MS);
	}

	hide(): void {
		clearTimeout(this.#hideTimer);
		this.idle = true;
	}

	stop(): void {
		clearTimeout(this.#hideTimer);
	}

	/**
	 * A touch or pen press on the picture while the controls are hidden only shows the controls: its click is
	 * swallowed. A press on a button that is visible all the same (such as "Tap for sound") is not.
	 */
	onpointerdown(
		{ pointerType, target }: Pick<PointerEvent, 'pointerType' | 'target'>,
		areControlsHidden: boolean,
	): void {
		this.lastPointerType = pointerType;
		const onControl = (target as Element | null)?.closest?.('button, a, input, [role=menu]');
		this.#swallowNextClick = areControlsHidden && pointerType !== 'mouse' && !onControl;
		this.show();
	}

	onpointermove({ pointerType }: Pick<PointerEvent, 'pointerType'>): void {
		if (pointerType !== 'touch') this.show();
	}

	/** Only a leaving mouse hides the controls: a touch pointer leaves with every lifted finger, and a pen may too. */
	onpointerleave({ pointerType }: Pick<PointerEvent, 'pointerType'>): void {
		if (pointerType === 'mouse') this.hide();
	}

	/**
	 * Runs in the capture phase, before any control handles the click. The click of a tap that showed the controls is
	 * stopped, because a control may have appeared under the finger. A long press or a swipe ends without a click;
	 * the next click may then come from the keyboard (`detail` is 0) and is let through.
	 */
	onclickcapture(event: Pick<UIEvent, 'detail' | 'stopPropagation' | 'preventDefault'>): void {
		const swallow = this.#swallowNextClick && event.detail > 0;
		this.#swallowNextClick = false;
		if (!swallow) return;
		event.stopPropagation();
		event.preventDefault();
	}
}
