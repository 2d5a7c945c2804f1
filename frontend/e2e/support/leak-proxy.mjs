// A TCP proxy between clients and the edge that changes nothing and scans every byte of the responses.
import { connect, createServer } from 'node:net';

/**
 * `secrets` are strings that no response may contain. Responses are scanned as bytes on the wire, header fields
 * included, so that no kind of response can be forgotten.
 */
export async function startLeakProxy(t, edge, secrets) {
	const sockets = new Set();
	const scanned = { leaks: [], preflights: [], playlists: 0, compressed: 0, bytes: 0 };
	const server = createServer((client) => {
		const upstream = connect(edge, '127.0.0.1');
		for (const [from, to] of [
			[client, upstream],
			[upstream, client],
		]) {
			sockets.add(from);
			from.on('error', () => to.destroy());
			from.on('close', () => {
				sockets.delete(from);
				to.destroy();
			});
			from.setNoDelay(true);
			from.pipe(to);
		}
		upstream.on('data', createScanner(secrets, scanned));
		// Preflights are counted here, because the DevTools session of a page does not report them. A request without a
		// body arrives as one chunk.
		client.on('data', (chunk) => {
			const [method, target] = chunk.toString('latin1').split(' ', 2);
			if (method === 'OPTIONS') scanned.preflights.push(target);
		});
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.after(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return { origin: `http://127.0.0.1:${port}`, scanned };
}

/** Counts the patterns in a stream of chunks, including matches that span two chunks. */
function createScanner(secrets, scanned) {
	const patterns = [
		...secrets.map((text) => ({ text, onFound: (context) => scanned.leaks.push(`${text} in …${context}…`) })),
		{ text: '#EXTM3U', onFound: () => scanned.playlists++ },
		// A compressed response could hide a secret from the scanner.
		{ text: '\r\ncontent-encoding:', onFound: () => scanned.compressed++ },
	];
	const overlap = Math.max(...patterns.map(({ text }) => text.length)) - 1;
	let tail = '';
	return (chunk) => {
		scanned.bytes += chunk.length;
		const text = tail + chunk.toString('latin1');
		const lower = text.toLowerCase();
		for (const { text: wanted, onFound } of patterns) {
			const needle = wanted.toLowerCase();
			for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, at + 1)) {
				// A match that ends within the tail was counted with the previous chunk.
				if (at + needle.length > tail.length) onFound(text.slice(Math.max(0, at - 60), at + 60));
			}
		}
		tail = text.slice(-overlap);
	};
}

/** A string as it is, percent-encoded, and in base64 at each of its three alignments. */
export function encodings(text) {
	const base64 = [0, 1, 2].map((shift) => {
		const encoded = Buffer.from('\0'.repeat(shift) + text).toString('base64url');
		// The first and last base64 characters also encode bits of the neighbouring bytes.
		return encoded.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + text.length) * 8) / 6));
	});
	return [...new Set([text, encodeURIComponent(text), ...base64])];
}
