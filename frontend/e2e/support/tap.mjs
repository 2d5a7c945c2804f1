// Stands between the clients and the edge, changes nothing, and reads every byte that the edge says.
import { connect, createServer } from 'node:net';

/**
 * `secrets` are the strings that must never pass. Answers are looked at as they are on the wire, headers and
 * all, so nothing here has to know what kind of answer it is.
 */
export async function tap(t, edge, secrets) {
	const sockets = new Set();
	const seen = { leaks: [], preflights: [], playlists: 0, encoded: 0, bytes: 0 };
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
		upstream.on('data', scanner(secrets, seen));
		// A request without a body is one chunk. The DevTools session of a page reports no preflights.
		client.on('data', (chunk) => {
			const [method, target] = chunk.toString('latin1').split(' ', 2);
			if (method === 'OPTIONS') seen.preflights.push(target);
		});
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.after(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	return { origin: `http://127.0.0.1:${port}`, seen };
}

/** Finds what stands across two chunks too. */
function scanner(secrets, seen) {
	const watched = [
		...secrets.map((text) => ({ text, found: (context) => seen.leaks.push(`${text} in …${context}…`) })),
		{ text: '#EXTM3U', found: () => seen.playlists++ },
		// What is compressed could hide anything.
		{ text: '\r\ncontent-encoding:', found: () => seen.encoded++ },
	];
	const overlap = Math.max(...watched.map(({ text }) => text.length)) - 1;
	let tail = '';
	return (chunk) => {
		seen.bytes += chunk.length;
		const text = tail + chunk.toString('latin1');
		const lower = text.toLowerCase();
		for (const { text: wanted, found } of watched) {
			const needle = wanted.toLowerCase();
			for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, at + 1)) {
				// What ends within the tail was counted with the chunk before.
				if (at + needle.length > tail.length) found(text.slice(Math.max(0, at - 60), at + 60));
			}
		}
		tail = text.slice(-overlap);
	};
}

/** A string as it is, percent-encoded, and in base64 at each of its three alignments. */
export function spellings(text) {
	const base64 = [0, 1, 2].map((shift) => {
		const encoded = Buffer.from('\0'.repeat(shift) + text).toString('base64url');
		// The first and last characters are shared with the neighbours.
		return encoded.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + text.length) * 8) / 6));
	});
	return [...new Set([text, encodeURIComponent(text), ...base64])];
}
