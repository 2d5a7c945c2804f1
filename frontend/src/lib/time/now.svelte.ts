import { createSubscriber } from 'svelte/reactivity';
import { serverClock } from './clock';

const subscribe = createSubscriber((update) => {
	let timer: ReturnType<typeof setTimeout>;
	// Updates are aligned to whole seconds of the server's clock, so that a session becomes live on the second.
	const scheduleUpdate = () => {
		timer = setTimeout(
			() => {
				update();
				scheduleUpdate();
			},
			1_000 - (serverClock.now() % 1_000) + 5,
		);
	};
	scheduleUpdate();
	document.addEventListener('visibilitychange', update);
	return () => {
		clearTimeout(timer);
		document.removeEventListener('visibilitychange', update);
	};
});

/** The server's time (milliseconds since the epoch). Effects and templates that read it update every second. */
export function now(): number {
	subscribe();
	return serverClock.now();
}
