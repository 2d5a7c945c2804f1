// Many viewers who count what a person would never see: every request that gets no response, every connection that
// breaks while a request or a body is on it, and every number that steps back.
import http2 from 'node:http2';
import { newAgent, pause, request } from './client.mjs';

const POLL_MS = 1000;

export const newCounts = () => ({
	playlists: 0,
	segments: 0,
	events: 0,
	downloads: 0,
	connections: 0,
	unprocessed: 0,
	refused: 0,
	reset: 0,
	truncated: 0,
	errors: 0,
	stepsBack: 0,
	failures: [],
});

const RESET_CODES = ['ECONNRESET', 'EPIPE', 'socket hang up'];

/** Counts a response, or what came instead. */
export function count(counts, what, answer, key) {
	const { status, error, complete, retried } = answer;
	const fail = (kind) => {
		counts[kind]++;
		if (counts.failures.length < 10) counts.failures.push(`${what}: ${kind} ${status} ${error ?? ''}`);
	};
	// A connection that was reset between two requests, which a browser hides by asking again.
	if (retried) fail('reset');
	if (status === 0) return fail(RESET_CODES.includes(error) ? 'reset' : 'refused');
	if (status >= 400) return fail('errors');
	if (!complete) return fail('truncated');
	counts[key]++;
}

/** One request on a session of HTTP/2; never throws. */
function requestHttp2(session, path) {
	return new Promise((resolve) => {
		const result = {
			status: 0,
			body: Buffer.alloc(0),
			complete: false,
			error: undefined,
		};
		const [stream, chunks] = [session.request({ ':path': path }), []];
		stream.on('response', (headers) => (result.status = headers[':status']));
		stream.on('data', (chunk) => chunks.push(chunk));
		stream.on('end', () => (result.complete = stream.rstCode === http2.constants.NGHTTP2_NO_ERROR));
		stream.on('error', (error) => (result.error = error.message));
		stream.on('close', () => {
			result.isUnprocessed = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM;
			resolve({ ...result, body: Buffer.concat(chunks) });
		});
		stream.end();
	});
}

/**
 * A client that keeps one connection of HTTP/2, and opens another once the server says that it goes away. A request that
 * the server says to have left alone (REFUSED_STREAM), as it came after the last one that the server takes, is sent again
 * there, as browsers do (RFC 9113, section 8.7); each is counted.
 */
function http2Client(origin, ca, counts) {
	let session;
	const connect = () => {
		const opened = http2.connect(origin, { ca });
		counts.connections++;
		opened.on('error', () => undefined);
		opened.on('goaway', () => opened.close());
		session = opened;
	};
	return {
		async get(path) {
			if (!session || session.closed || session.destroyed) connect();
			const answer = await requestHttp2(session, path);
			if (answer.status !== 0 || !answer.isUnprocessed) return answer;
			counts.unprocessed++;
			connect();
			return requestHttp2(session, path);
		},
		end: () => session?.destroy(),
	};
}

/** A client that keeps its connections alive, over TLS where there is an authority `ca`. */
function http1Client(origin, ca) {
	const agent = newAgent({ maxSockets: 2, ...(ca && { ca }) });
	return {
		get: (path) => request(origin + path, { agent }),
		end: () => agent.destroy(),
	};
}

/** Polls a playlist once a second and reads each new segment. */
function startPolling(client, playlist, counts, delay) {
	let stopped = false;
	let newest = -1;
	const poll = async () => {
		const answer = await client.get(playlist);
		if (stopped) return;
		count(counts, 'playlist', answer, 'playlists');
		if (answer.status !== 200 || !answer.complete) return;
		const text = answer.body.toString();
		const first = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(text)?.[1]);
		const uris = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
		const last = first + uris.length - 1;
		if (last < newest) {
			counts.stepsBack++;
			counts.failures.push(`numbers: ${newest}, then ${last}`);
		}
		if (last > newest) {
			newest = last;
			const segment = await client.get(uris.at(-1));
			if (!stopped) count(counts, 'segment', segment, 'segments');
		}
	};
	const running = (async () => {
		await pause(delay);
		while (!stopped) {
			const next = pause(POLL_MS);
			await poll();
			await next;
		}
	})();
	return async () => {
		stopped = true;
		client.end();
		await running;
	};
}

/** Listens to events; comes back when the server ends the stream, as an EventSource does. */
function startListening(origin, ca, counts) {
	const agent = newAgent({ maxSockets: 1, ...(ca && { ca }) });
	let [stopped, end] = [false, () => undefined];
	const running = (async () => {
		while (!stopped) {
			const answer = await request(`${origin}/api/events`, {
				agent,
				timeout: 120_000,
				onHeader: (_, outgoing) => (end = () => outgoing.destroy()),
			});
			if (!stopped) count(counts, 'events', answer, 'events');
			await pause(20);
		}
	})();
	return async () => {
		stopped = true;
		end();
		agent.destroy();
		await running;
	};
}

/**
 * Starts `polling` viewers of HTTP/1.1, `http2` of HTTP/2 where there is an authority `ca`, and `listening` who listen to
 * events. `stop()` ends them and resolves to the counts.
 */
export function startCrowd(origin, { polling = 0, http2: overHttp2 = 0, listening = 0, ca, playlist }) {
	const counts = newCounts();
	const clients = [
		...Array.from({ length: polling }, () => http1Client(origin, ca)),
		...Array.from({ length: overHttp2 }, () => http2Client(origin, ca, counts)),
	];
	const stops = [
		...clients.map((client, at) => startPolling(client, playlist, counts, (at * POLL_MS) / clients.length)),
		...Array.from({ length: listening }, () => startListening(origin, ca, counts)),
	];
	return {
		counts,
		size: stops.length,
		async stop() {
			await Promise.all(stops.map((stop) => stop()));
			return counts;
		},
	};
}
