interface AppleVideo extends HTMLVideoElement {
	webkitEnterFullscreen?(): void;
}

/** Shows an element in full screen, or leaves full screen if any element is in it. */
export async function toggleFullscreen(element: HTMLElement): Promise<void> {
	try {
		if (document.fullscreenElement) await document.exitFullscreen();
		else if (element.requestFullscreen) await element.requestFullscreen();
		// Safari on iPhones offers full screen only for video elements.
		else (element.querySelector('video') as AppleVideo | null)?.webkitEnterFullscreen?.();
	} catch {
		// The browser refused full screen; the page stays as it was.
	}
}
