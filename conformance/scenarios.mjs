// Scenarios: what happens to a stream while players watch it. `event` is carried out once all players play.
import { eventually } from '../frontend/e2e/support/process.mjs';

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
/** How long a packager or a server is away when it is restarted. */
const OUTAGE_SECONDS = 2;

/** Both origins of the first packager: the one that players read themselves, and the one that the edge reads. */
const firstOrigins = ({ origins }) => [origins.direct, origins.sources[0]];

/**
 * How many segments a packager has written before players come that see it restarted. One that counts anew must not
 * reach within the scenario the number at which players stand: they would go on as if nothing had happened, which a
 * packager that has run for an hour never gives them.
 */
const WRITTEN_BEFORE_RESTART = 10;

/** A packager that is told to stop may end its playlist; one that is killed cannot. */
const restart = (name, signal, encoding) => ({
	name,
	says: `the packager is ${signal === 'SIGKILL' ? 'killed' : 'stopped'} and starts again after ${OUTAGE_SECONDS} s${encoding ? `, with the encoder "${encoding}"` : ''}`,
	seconds: 28,
	writtenSegments: WRITTEN_BEFORE_RESTART,
	wearsOut: true,
	async event({ packager }) {
		await packager.stop(signal);
		await pause(OUTAGE_SECONDS);
		await packager.start(encoding ?? packager.encoding);
	},
});

const failover = (name, encoding) => ({
	name,
	says: `the first source dies; the edge has a second${encoding === 'main' ? '' : `, of the encoder "${encoding}"`}`,
	seconds: 18,
	second: encoding,
	event: (stage) => firstOrigins(stage).forEach((origin) => origin.die()),
});

const planned = (name, encoding) => ({
	name,
	says: `an operator moves the viewers to a second source${encoding === 'main' ? '' : `, of the encoder "${encoding}"`}; directly nothing happens`,
	seconds: 18,
	second: encoding,
	event: ({ edge }) => edge.switchTo('second'),
});

const refused = (status) => ({
	name: `refused ${status}`,
	says: `one segment is answered with ${status}, once`,
	seconds: 12,
	event: (stage) => firstOrigins(stage).forEach((origin) => origin.refuse(status)),
});

export const SCENARIOS = [
	{ name: 'play', says: 'nothing happens', seconds: 14 },
	refused(404),
	refused(503),
	failover('failover', 'main'),
	failover('failover, other encoder', 'other'),
	failover('failover, other profile', 'baseline'),
	planned('switch', 'main'),
	planned('switch, other encoder', 'other'),
	{
		name: 'token end',
		says: 'the token in the address ends; a page hands out new ones',
		seconds: 18,
		tokens: true,
		event: (stage) => firstOrigins(stage).forEach((origin) => origin.endTokens()),
	},
	{
		name: 'edge restart',
		says: `the edge is killed and starts again after ${OUTAGE_SECONDS} s; directly the origin is away for as long`,
		seconds: 18,
		async event({ edge, origins }) {
			origins.direct.die();
			await edge.stop('SIGKILL');
			await pause(OUTAGE_SECONDS);
			edge.start();
			await eventually(async () => (await fetch(`${edge.origin}/healthz`)).ok, 'the edge is up again');
			await origins.direct.revive();
		},
	},
	// These come last because the packager cannot be used on after them.
	restart('restart', 'SIGTERM'),
	restart('crash', 'SIGKILL'),
	restart('crash, other encoder', 'SIGKILL', 'other'),
	restart('crash, other profile', 'SIGKILL', 'baseline'),
];
