import { expect, test } from 'vitest';
import { Connection, type Outage } from './connection.svelte';

type ConnectionEvent = 'offline' | 'online' | 'answered' | 'unanswered';

test.each<[ConnectionEvent[], Outage | null]>([
	[[], null],
	[['unanswered'], 'silent'],
	[['unanswered', 'answered'], null],
	// A browser that reports offline may still reach an edge in its own network.
	[['offline'], null],
	[['offline', 'unanswered'], 'offline'],
	// The network is back, and no request has shown yet whether the edge is.
	[['offline', 'unanswered', 'online'], 'returning'],
	[['offline', 'unanswered', 'online', 'unanswered'], 'silent'],
	[['offline', 'unanswered', 'online', 'answered'], null],
	[['unanswered', 'offline'], 'offline'],
	[['unanswered', 'offline', 'online'], 'returning'],
])('%j: %s', (events, expected) => {
	const browser = new EventTarget();
	let online = true;
	const connection = new Connection();
	connection.listenToNetwork(browser, () => online);
	for (const event of events) {
		if (event === 'answered') connection.reportResponse();
		else if (event === 'unanswered') connection.reportNoResponse();
		else {
			online = event === 'online';
			browser.dispatchEvent(new Event(event));
		}
	}
	expect(connection.outage).toBe(expected);
});
