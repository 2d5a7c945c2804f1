interface AppleVideo extends HTMLVideoElement {
	webkitEnterFullscreen?(): void;
}

/** Fills the screen with an element, or gives the screen back. */
export async function fullscreen(element: HTMLElement): Promise<void> {
	try {
		if (document.fullscreenElement) await document.exitFullscreen();
		else if (element.requestFullscreen) await element.requestFullscreen();
		// iPhones can fill the screen with a video only.
		else (element.querySelector('video') as AppleVideo | null)?.webkitEnterFullscreen?.();
	} catch {
		// The browser refused; the page stays as it was.
	}
}
