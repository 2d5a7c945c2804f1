/** Resolves when the page is visible: at once, or when it becomes visible. */
export function untilVisible(): Promise<void> {
	if (document.visibilityState === 'visible') return Promise.resolve();
	return new Promise((resolve) => {
		const onChange = () => {
			if (document.visibilityState !== 'visible') return;
			document.removeEventListener('visibilitychange', onChange);
			resolve();
		};
		document.addEventListener('visibilitychange', onChange);
	});
}
