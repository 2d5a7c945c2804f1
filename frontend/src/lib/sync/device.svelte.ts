import type { WallSync } from './wall-sync.svelte';

/** Keeps the screen on while the wall plays; returns what lets it go. The browser lets go itself while the page is hidden. */
export function keepScreenOn(): () => void {
	let lock: WakeLockSentinel | null = null;
	let isOver = false;
	const request = async () => {
		if (document.visibilityState === 'hidden' || !('wakeLock' in navigator)) return;
		try {
			lock = await navigator.wakeLock.request('screen');
			if (isOver) await lock.release();
		} catch {
			// Low battery, or the policy of the page that embeds this one: the screen goes off as it does elsewhere.
		}
	};
	void request();
	document.addEventListener('visibilitychange', request);
	return () => {
		isOver = true;
		document.removeEventListener('visibilitychange', request);
		void lock?.release();
	};
}

/** Gives the lock screen and the keys of a headset the title and the controls of the wall. */
export function followMediaSession(sync: WallSync, audibleId: () => string | undefined): () => void {
	if (!('mediaSession' in navigator)) return () => {};
	const { mediaSession } = navigator;
	const actions: [MediaSessionAction, MediaSessionActionHandler][] = [
		['play', () => sync.togglePause(audibleId() ?? '')],
		['pause', () => sync.togglePause(audibleId() ?? '')],
		['seekbackward', ({ seekOffset }) => sync.seekBy(-(seekOffset ?? 10))],
		['seekforward', ({ seekOffset }) => sync.seekBy(seekOffset ?? 10)],
	];
	const set = (action: MediaSessionAction, handler: MediaSessionActionHandler | null) => {
		try {
			mediaSession.setActionHandler(action, handler);
		} catch {
			// This browser does not know the action.
		}
	};
	for (const [action, handler] of actions) set(action, handler);
	return () => {
		for (const [action] of actions) set(action, null);
		mediaSession.metadata = null;
	};
}
