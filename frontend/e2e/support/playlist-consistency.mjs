// Polls the same media playlists at every edge, and compares them with each other and with earlier responses.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

async function fetchSegment(url) {
	const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
	const bytes = new Uint8Array(await answer.arrayBuffer());
	return answer.status === 200 ? { bytes } : { error: answer.status };
}

/** Records every inconsistency that a player must never see. An edge with `down` set may fail to answer. */
export function checkConsistency(t, edges, playlists) {
	/** By playlist and media sequence number: the segment's path and discontinuity number, and each edge's URI line. */
	const published = new Map();
	/** By playlist and media sequence number: the SHA-256 of the segment's bytes. */
	const hashes = new Map();
	const lastHeaders = new Map();
	const faults = [];
	const addFault = (text) => faults.length < 20 && faults.push(`${new Date().toISOString()} ${text}`);

	async function pollPlaylist(edge, playlist) {
		const url = `${edge.origin}/live/${playlist}`;
		let text;
		try {
			const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
			if (answer.status !== 200) return edge.down || addFault(`${url}: ${answer.status}`);
			text = await answer.text();
		} catch (error) {
			return edge.down || addFault(`${url}: ${error}`);
		}
		checkPlaylist(edge, playlist, text);
	}

	function checkPlaylist(edge, playlist, text) {
		const value = (name) => Number(new RegExp(`^#EXT-X-${name}:(\\d+)`, 'm').exec(text)?.[1] ?? 0);
		let number = value('MEDIA-SEQUENCE');
		let discontinuity = value('DISCONTINUITY-SEQUENCE');
		const header = [number, discontinuity, value('TARGETDURATION')];
		const key = `${edge.origin} ${edge.restarts} ${playlist}`;
		const last = lastHeaders.get(key) ?? header;
		lastHeaders.set(key, header);
		if (header[0] < last[0] || header[1] < last[1]) addFault(`${key} steps back from ${last} to ${header}`);
		if (header[2] !== last[2]) addFault(`${key} changes its target duration from ${last} to ${header}`);
		for (const line of text.split('\n')) {
			if (line === '#EXT-X-DISCONTINUITY') discontinuity++;
			if (line === '' || line.startsWith('#')) continue;
			// The query is ignored, because a renewed token changes the seal in it; players identify a segment by its path.
			const path = line.split('?')[0];
			const location = `${path} in ${discontinuity}`;
			const id = `${playlist} ${number}`;
			const earlier = published.get(id);
			if (!earlier) published.set(id, { location, lines: new Map([[edge, line]]) });
			else if (earlier.location !== location)
				addFault(`${id}: ${earlier.location}, and ${location} at ${key}`);
			else earlier.lines.set(edge, line);
			number++;
		}
	}

	/**
	 * Compares the bytes of the newest segment but one as each edge serves it. A published segment that an edge answers
	 * with an error is a fault, unless the edge is down or restarts meanwhile.
	 */
	async function compareSegmentBytes(playlist) {
		const last = [...published].filter(([id]) => id.startsWith(`${playlist} `)).at(-2);
		if (!last) return;
		const [id, { lines }] = last;
		for (const [edge, line] of lines) {
			if (edge.down) continue;
			const { restarts } = edge;
			const segment = await fetchSegment(edge.origin + line).catch((error) => ({ error }));
			if (segment.error) {
				if (!edge.down && edge.restarts === restarts)
					addFault(`${id} is published, but not served at ${edge.origin}: ${segment.error}`);
				continue;
			}
			const hash = createHash('sha256').update(segment.bytes).digest('hex');
			if ((hashes.get(id) ?? hash) !== hash) addFault(`${id} has other bytes at ${edge.origin}`);
			hashes.set(id, hash);
		}
	}

	let stop = false;
	const polling = (async () => {
		while (!stop) {
			for (const playlist of playlists) {
				await Promise.all(edges.map((edge) => pollPlaylist(edge, playlist)));
				await compareSegmentBytes(playlist).catch(addFault);
			}
			await new Promise((resolve) => setTimeout(resolve, 500));
		}
	})();
	// The polling is stopped here too, because a failing test never calls end().
	t.after(() => (stop = true));
	return {
		/** The highest discontinuity number that any playlist had. */
		switches: () =>
			Math.max(0, ...[...published.values()].map(({ location }) => Number(location.split(' in ')[1]))),
		async end() {
			stop = true;
			await polling;
			assert.deepEqual(faults, []);
			// All renditions must have the same discontinuity sequence number.
			const counts = playlists.map((playlist) => {
				const all = [...published].filter(([id]) => id.startsWith(`${playlist} `));
				return Number(all.at(-1)[1].location.split(' in ')[1]);
			});
			assert.equal(new Set(counts).size, 1, `discontinuities of ${playlists}: ${counts}`);
			return { published: published.size, compared: hashes.size, discontinuities: counts[0] };
		},
	};
}
