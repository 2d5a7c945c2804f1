import { createSubscriber } from 'svelte/reactivity';
import { serverClock } from './clock';

const subscribe = createSubscriber((update) => {
	let timer: ReturnType<typeof setTimeout>;
	// Aligned to whole seconds of the server's clock, so that a start flips on the second.
	const tick = () => {
		timer = setTimeout(
			() => {
				update();
				tick();
			},
			1_000 - (serverClock.now() % 1_000) + 5,
		);
	};
	tick();
	document.addEventListener('visibilitychange', update);
	return () => {
		clearTimeout(timer);
		document.removeEventListener('visibilitychange', update);
	};
});

/** The server's time in milliseconds; read inside an effect or template it ticks every second. */
export function now(): number {
	subscribe();
	return serverClock.now();
}
