// The documents dev/mock.mjs answers with. Everything is relative to now, so that something is always on.
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const circuits = [
	['Harbour Grand Prix', 'harbour', 'Harbour Street Circuit', 'Auckland', 'New Zealand'],
	['Canyon Grand Prix', 'canyon', 'Canyon Raceway', 'Flagstaff', 'United States'],
	['Lakeside Grand Prix', 'lakeside', 'Lakeside Autodrome', 'Como', 'Italy'],
	['Highland Grand Prix', 'highland', 'Highland Ring', 'Inverness', 'United Kingdom'],
	['Monsoon Grand Prix', 'monsoon', 'Monsoon International', 'Kochi', 'India'],
];

const weekend = [
	['fp1', 'Practice 1', -50 * HOUR, 60],
	['fp2', 'Practice 2', -46 * HOUR, 60],
	['fp3', 'Practice 3', -27 * HOUR, 60],
	['qualifying', 'Qualifying', -23 * HOUR, 60],
	['race', 'Race', 0, 120],
];

/**
 * @param {string} scenario
 * @param {Map<string, number>} down streams that are down, and since when
 * @param {number} cameras how many streams are listed beside the four that always are
 */
export function documents(scenario, down, cameras = 0) {
	if (scenario === 'broken') return {};
	const now = Date.now();
	const schedule = scheduleOf(scenario, now);
	const sessions = schedule.meetings.flatMap((meeting) => meeting.sessions);
	const session =
		sessions.find(({ status }) => status === 'live') ??
		sessions.find(({ status }) => status === 'upcoming') ??
		null;
	const streams = ['live', 'over'].includes(scenario) ? streamsOf(now, down, cameras) : [];
	return {
		bootstrap: { session, streams },
		schedule,
		streams: { streams },
		extractors: extractorsOf(),
		activity: activityOf(now, streams),
		status: {
			started_at: iso(now - 3 * HOUR),
			schedule: {
				source: 'jolpica',
				fetched_at: schedule.fetched_at,
				stale_since: schedule.stale_since,
				error: null,
				disagreements: sessions.filter(({ disagreement, status }) => disagreement && status !== 'past')
					.length,
			},
			streams: {
				total: streams.length,
				healthy: streams.filter(({ health }) => health === 'healthy').length,
			},
			extractors: { total: 3, failing: 1 },
		},
	};
}

function scheduleOf(scenario, now) {
	const base = { season: 2026, fetched_at: iso(now - 12 * MINUTE), stale_since: null, source: 'jolpica' };
	if (scenario === 'empty') return { ...base, meetings: [] };
	// The race of the second meeting began a quarter of an hour ago, is over since an hour, or begins in two days.
	const on = scenario === 'live' || scenario === 'searching';
	const race = on ? now - 15 * MINUTE : scenario === 'over' ? now - 4 * HOUR : now + 2 * DAY + 4 * HOUR;
	const meetings = circuits.map(([name, id, circuit, locality, country], n) => {
		const at = race + (n - 1) * 7 * DAY;
		return {
			id: `2026:${id}-grand-prix`,
			name,
			round: 20 + n,
			circuit: { id, name: circuit, locality, country },
			sessions: weekend.map(([code, label, offset, minutes]) => {
				const start = at + offset;
				const end = start + minutes * MINUTE;
				const until = end + 45 * MINUTE;
				const unknown = (scenario === 'tbc' && n === 1) || n === 4;
				const cancelled = n === 2 && code === 'fp2';
				const status = cancelled ? 'cancelled' : now < start ? 'upcoming' : now < until ? 'live' : 'past';
				return {
					id: `2026:${id}-grand-prix:${id}:${code}`,
					code,
					name: label,
					meeting: name,
					start: unknown ? null : iso(start),
					date: iso(start).slice(0, 10),
					time_known: !unknown,
					end: unknown ? null : iso(end),
					end_estimated: true,
					live_from: unknown ? null : iso(start - 5 * MINUTE),
					live_until: unknown ? null : iso(until),
					status,
					source: 'jolpica',
					revision: 1,
					...(n === 3 && code === 'race' && !unknown && { disagreement: [claim(start + HOUR)] }),
				};
			}),
		};
	});
	return { ...base, meetings };
}

function claim(start) {
	return { source: 'openf1', start: iso(start), date: iso(start).slice(0, 10), cancelled: false };
}

function streamsOf(now, down, cameras) {
	const renditions = [
		rendition('v1080', 1920, 1080, 6_200_000, 50),
		rendition('v720', 1280, 720, 3_100_000, 50),
		rendition('v360', 640, 360, 900_000, 25),
	];
	const list = [
		stream('world-feed', 'World feed', [
			source('alpha', 'Alpha CDN', true, 0.97, 84),
			source('beta', 'Beta relay', false, 0.81, 160),
		]),
		stream('onboard-44', 'Onboard 44', [source('alpha', 'Alpha CDN', true, 0.9, 96)]),
		stream('pit-lane', 'Pit lane', [source('gamma', null, true, 0.62, 420)], 'degraded'),
		...Array.from({ length: cameras }, (_, n) =>
			stream(`camera-${n + 1}`, `Camera ${n + 1}`, [source('alpha', 'Alpha CDN', true, 0.9, 90)]),
		),
		stream(
			'data-channel',
			'Data channel',
			[{ ...source('gamma', null, false, 0, null), health: 'down', error: 'segment check: 403 Forbidden' }],
			'down',
		),
	];
	return list
		.map((entry) =>
			down.has(entry.id)
				? {
						...entry,
						health: 'down',
						down_since: iso(down.get(entry.id)),
						reason: 'the connection was refused',
						sources: entry.sources.map(dead),
					}
				: entry,
		)
		.sort((a, b) => rank(a) - rank(b));

	function stream(id, feed, sources, health = 'healthy') {
		return {
			id,
			feed,
			playlist: `/live/${id}/index.m3u8`,
			health,
			...(health === 'down' && {
				down_since: iso(now - 12 * MINUTE),
				reason: sources.map(({ error }) => error).join('; '),
			}),
			sources,
			renditions,
		};
	}
	function source(name, label, active, score, latency_ms) {
		return {
			...{
				name,
				label,
				note: null,
				kind: name === 'gamma' ? 'recipe' : 'static',
				active,
				health: active && score < 0.7 ? 'degraded' : 'healthy',
			},
			...{ score, latency_ms, expires_at: name === 'alpha' ? iso(now + 42 * MINUTE) : null, error: null },
		};
	}
	function dead(entry) {
		return { ...entry, active: false, health: 'down', error: 'playlist: 503' };
	}
	function rank({ health }) {
		return ['healthy', 'degraded', 'down'].indexOf(health);
	}
}

function rendition(id, width, height, bandwidth, frame_rate) {
	return {
		...{ id, role: 'video', label: `${height}p`, width, height, bandwidth, frame_rate },
		...{ codecs: 'avc1.640028,mp4a.40.2', language: null, name: null, container: 'ts' },
	};
}

/** When streams were checked and sources asked. */
function activityOf(now, streams) {
	const run = (ago, succeededAgo, duration_ms) => ({
		last_run_at: iso(now - ago),
		last_success_at: iso(now - succeededAgo),
		next_run_at: iso(now + 38_000),
		duration_ms,
	});
	return {
		generated_at: iso(now),
		streams: Object.fromEntries(streams.map(({ id }) => [id, { checked_at: iso(now - 8_000) }])),
		extractors: {
			alpha: run(22_000, 22_000, 140),
			beta: run(41_000, 41_000, 512),
			gamma: run(12_000, 20 * MINUTE, 2_904),
		},
	};
}

function extractorsOf() {
	const base = { every_seconds: 60, error: null };
	return {
		extractors: [
			{
				...base,
				name: 'alpha',
				kind: 'static',
				state: 'ok',
				candidates: 2,
			},
			{
				...base,
				name: 'beta',
				kind: 'm3u',
				state: 'ok',
				candidates: 1,
			},
			{
				...base,
				name: 'gamma',
				kind: 'recipe',
				state: 'failing',
				candidates: 0,
				error: { step: 'select script', message: 'no element matched `#player`' },
			},
		],
	};
}

function iso(at) {
	return new Date(at).toISOString();
}
