import { expect, test } from 'vitest';
import { Connection, type Outage } from './connection.svelte';

type Happening = 'offline' | 'online' | 'answered' | 'unanswered';

test.each<[Happening[], Outage | null]>([
	[[], null],
	[['unanswered'], 'silent'],
	[['unanswered', 'answered'], null],
	// A browser that believes to be offline may still reach an edge nearby.
	[['offline'], null],
	[['offline', 'unanswered'], 'offline'],
	// The network is back: whether the edge is there is not known yet.
	[['offline', 'unanswered', 'online'], 'returning'],
	[['offline', 'unanswered', 'online', 'unanswered'], 'silent'],
	[['offline', 'unanswered', 'online', 'answered'], null],
	[['unanswered', 'offline'], 'offline'],
	[['unanswered', 'offline', 'online'], 'returning'],
])('%j: %s', (happenings, expected) => {
	const browser = new EventTarget();
	let online = true;
	const connection = new Connection();
	connection.listen(browser, () => online);
	for (const happening of happenings) {
		if (happening === 'answered' || happening === 'unanswered') connection[happening]();
		else {
			online = happening === 'online';
			browser.dispatchEvent(new Event(happening));
		}
	}
	expect(connection.outage).toBe(expected);
});
