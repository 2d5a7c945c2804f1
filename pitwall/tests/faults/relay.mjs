// An origin of segments, and an edge that relays them without a live stream.
import { createServer } from 'node:http';
import http2 from 'node:http2';
import { allowed, config, eventually } from './bed.mjs';
import { plainLink, request } from './client.mjs';
import { segmentBytes, sendBytes } from './source.mjs';

/**
 * An origin of segments whose path says how many packets they have: its address, and what it is asked for. A path that
 * begins with `/silent` is never answered; `waiting()` says how many of these requests are open.
 */
export async function startSegmentOrigin(bed) {
	const [requests, heads] = [[], []];
	let waiting = 0;
	const server = createServer((incoming, response) => {
		requests.push(incoming.url);
		heads.push({ method: incoming.method, headers: incoming.headers });
		if (incoming.url.startsWith('/silent')) {
			waiting++;
			response.on('close', () => waiting--);
			return;
		}
		const packets = Number(/^\/(\d+)/.exec(incoming.url)?.[1] ?? 100);
		sendBytes(incoming, response, segmentBytes(incoming.url, 188 * packets), {
			'content-type': 'video/mp2t',
		});
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', 2048, resolve));
	bed.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return {
		base: `http://127.0.0.1:${server.address().port}`,
		requests,
		heads,
		waiting: () => waiting,
	};
}

/** Such an origin, and an edge that relays it. */
export async function relayBed(bed, options = {}) {
	const origin = await startSegmentOrigin(bed);
	const { base } = origin;
	const edge = await bed.started(config({ upstream: allowed(base), ...options }));
	return {
		edge,
		...origin,
		path: (name) => plainLink('/relay', `${base}/${name}`),
	};
}

/** Such an origin, and an edge that relays it over TLS; plain links may also name `others`, `more` is configuration. */
export async function tlsBed(bed, { others = [], more = '' } = {}) {
	const authority = bed.authority();
	const { certFile, keyFile } = authority.sign('edge', 'localhost');
	const origin = await startSegmentOrigin(bed);
	const { base } = origin;
	const edge = await bed.pitwall(
		config({
			upstream: allowed(base, ...others),
			more: `[edge.tls]\ncert = "${certFile}"\nkey = "${keyFile}"\n${more}`,
		}),
	);
	edge.spawn();
	await eventually(async () => (await request(`${edge.adminOrigin}/readyz`)).status === 200, 'it is ready');
	const connect = () => {
		const session = http2.connect(`https://localhost:${edge.port}`, {
			ca: authority.certificate,
		});
		session.on('error', () => undefined);
		bed.after(() => session.destroy());
		return session;
	};
	return {
		edge,
		...origin,
		authority,
		connect,
		path: (name) => plainLink('/relay', `${base}/${name}`),
	};
}
