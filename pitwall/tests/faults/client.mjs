// HTTP as a player speaks it, and raw sockets for what no client library would send.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

/** Connections of one client; a player keeps its own. */
export const newAgent = (options = {}) =>
	new (options.ca ? https : http).Agent({
		keepAlive: true,
		maxSockets: 6,
		...options,
	});

const sharedAgent = newAgent({ maxSockets: Infinity });

/**
 * Sends one request and never throws. `status` is 0 and `error` is set where no response header came. `complete` is
 * false where the body was cut: an announced length that was not reached, or a chunked body without its end.
 * A request on an idle connection that the server has just closed is sent again once, as browsers do: then `retried` is
 * set.
 */
export function request(url, options = {}) {
	const {
		method = 'GET',
		headers = {},
		agent = sharedAgent,
		timeout = 30_000,
		body,
		onHeader,
		...tls
	} = options;
	const isSecure = url.startsWith('https:');
	const began = performance.now();
	const attempt = (isRetry) =>
		new Promise((resolve) => {
			const result = {
				status: 0,
				headers: {},
				body: Buffer.alloc(0),
				complete: false,
				error: undefined,
				retried: isRetry,
			};
			const end = () => {
				clearTimeout(timer);
				resolve({ ...result, ms: performance.now() - began });
			};
			const outgoing = (isSecure ? https : http).request(url, {
				method,
				headers,
				agent: isSecure && !(agent instanceof https.Agent) ? undefined : agent,
				...tls,
			});
			const timer = setTimeout(() => outgoing.destroy(new Error('timeout')), timeout);
			outgoing.on('error', (error) => {
				if (outgoing.reusedSocket && !isRetry && !result.status && error.code === 'ECONNRESET') {
					clearTimeout(timer);
					return resolve(attempt(true));
				}
				result.error = error.code ?? error.message;
				end();
			});
			outgoing.on('response', (response) => {
				const chunks = [];
				result.status = response.statusCode;
				result.headers = response.headers;
				result.firstByteMs = performance.now() - began;
				onHeader?.(response, outgoing);
				response.on('data', (chunk) => chunks.push(chunk));
				response.on('error', (error) => (result.error = error.code ?? error.message));
				response.on('close', () => {
					result.body = Buffer.concat(chunks);
					result.complete = response.complete;
					end();
				});
			});
			outgoing.end(body);
		});
	return attempt(false);
}

export const getJson = async (url) => JSON.parse((await request(url)).body.toString());

/** How long a busy server may take to answer what is sent raw: as long as a header may take. */
const RAW_ANSWER_MS = 12_000;

/**
 * Sends bytes on a connection of its own and reads until the server closes it, or for `wait` ms after the last byte.
 * `closed` says whether the server closed the connection.
 */
export function sendRaw(port, bytes, { wait = 1500, host = '127.0.0.1' } = {}) {
	return new Promise((resolve) => {
		const began = performance.now();
		const chunks = [];
		const socket = net.connect(port, host, () => socket.write(bytes));
		let timer;
		const finish = (closed) => {
			clearTimeout(timer);
			socket.destroy();
			const text = Buffer.concat(chunks).toString('latin1');
			const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status));
			resolve({
				text,
				statuses,
				status: statuses[0] ?? 0,
				closed,
				ms: performance.now() - began,
			});
		};
		const restart = (ms) => {
			clearTimeout(timer);
			timer = setTimeout(() => finish(false), ms);
		};
		restart(RAW_ANSWER_MS);
		socket.on('data', (chunk) => {
			chunks.push(chunk);
			restart(wait);
		});
		socket.on('error', () => finish(true));
		socket.on('close', () => finish(true));
	});
}

/** The `url=` link of a route. */
export const plainLink = (route, url) => `${route}?url=${Buffer.from(url).toString('base64url')}`;

/** The value at this fraction of the sorted values. */
export function quantile(values, fraction) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? 0;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
