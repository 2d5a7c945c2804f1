// The witness of the splice test finds each inconsistency that it is there for, at edges that are simulated.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { checkConsistency } from './support/playlist-consistency.mjs';
import { eventually, listen } from './support/process.mjs';

const PLAYLIST = 'world-feed/v.m3u8';
/** Media sequence numbers pass from 9 to 10, which is a step back only where they are compared as text. */
const FIRST_NUMBER = 8;
const POLLS = 5;

/** A media playlist of three segments at the n-th poll. */
function playlistAt(poll, { first = FIRST_NUMBER + poll, target = 2, folder = 'v', discontinuity = 0 } = {}) {
	const lines = [0, 1, 2].map((n) => `#EXTINF:2,\n/live/world-feed/${folder}/${first + n}.ts?u=seal`);
	return `#EXTM3U
#EXT-X-TARGETDURATION:${target}
#EXT-X-MEDIA-SEQUENCE:${first}
#EXT-X-DISCONTINUITY-SEQUENCE:${discontinuity}
${lines.join('\n')}
`;
}

/** An edge: `playlist` returns a text or a status, `segment` a text, a status, or nothing to break off. */
async function simulateEdge(t, { playlist = playlistAt, segment = (path) => path, down = false }) {
	const edge = { origin: '', restarts: 0, down, polls: 0 };
	const server = createServer((request, response) => {
		const [path] = request.url.split('?');
		const answer = path.endsWith('.m3u8') ? playlist(edge.polls++) : segment(path, edge);
		if (answer === undefined) return request.socket.destroy();
		if (typeof answer === 'number') response.statusCode = answer;
		response.end(String(answer));
	});
	edge.origin = `http://127.0.0.1:${await listen(t, server)}`;
	return edge;
}

const after = (poll, options) => (now) => playlistAt(now, now > poll ? options : {});

// `edge` is one of two edges, of which the other has no fault; `expected` is a fault that must be found, if any.
const ROWS = [
	{ name: 'edges that agree', edge: {} },
	{ name: 'a segment that is refused', edge: { segment: () => 404 }, expected: /not served at .*404/ },
	{
		name: 'a segment that breaks off',
		edge: { segment: () => undefined },
		expected: /not served at .*fetch/,
	},
	{ name: 'a segment with other bytes', edge: { segment: () => 'other' }, expected: /has other bytes/ },
	{ name: 'a playlist that is refused', edge: { playlist: () => 503 }, expected: /v\.m3u8: 503/ },
	{
		name: 'a media sequence that steps back',
		edge: { playlist: after(2, { first: 9 }) },
		expected: /steps back/,
	},
	{
		name: 'a discontinuity sequence that changes',
		edge: { playlist: after(2, { discontinuity: 1 }) },
		expected: /in 0, and .* in 1/,
	},
	{
		name: 'another target duration',
		edge: { playlist: after(2, { target: 3 }) },
		expected: /target duration/,
	},
	{ name: 'another segment', edge: { playlist: after(2, { folder: 'w' }) }, expected: /\/w\/\d+\.ts in 0/ },
	{ name: 'an edge that is down', edge: { down: true, playlist: () => 503, segment: () => 502 } },
	{
		name: 'an edge that goes down while it serves a segment',
		edge: { segment: (_, edge) => ((edge.down = true), 502) },
	},
	{
		name: 'an edge that restarts while it serves a segment',
		edge: { segment: (path, edge) => (edge.polls < 3 ? (edge.restarts++, undefined) : path) },
	},
];

test('the witness of the splice test', { concurrency: true }, async (t) => {
	const checkRow = async (t, { edge, expected }) => {
		const edges = [await simulateEdge(t, {}), await simulateEdge(t, edge)];
		const consistency = checkConsistency(t, edges, [PLAYLIST]);
		await eventually(() => edges.every(({ polls }) => polls >= POLLS), 'both are polled');
		if (expected) await assert.rejects(consistency.end(), ({ actual }) => expected.test(String(actual)));
		else assert.ok((await consistency.end()).compared > 0);
	};
	await Promise.all(ROWS.map((row) => t.test(row.name, (t) => checkRow(t, row))));
});
