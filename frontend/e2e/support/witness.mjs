// Polls the same playlists of every edge, and holds what they say against each other.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** What a player must never see. `edges` may change while it looks. */
export function witness(t, edges, playlists) {
	/** By playlist and number: the path, the discontinuity number, and the line of each edge. */
	const published = new Map();
	/** By playlist and number: what the bytes hash to. */
	const hashes = new Map();
	const heads = new Map();
	const faults = [];
	const complain = (text) => faults.length < 20 && faults.push(`${new Date().toISOString()} ${text}`);

	async function look(edge, playlist) {
		const url = `${edge.origin}/live/${playlist}`;
		let text;
		try {
			const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
			if (answer.status !== 200) return edge.down || complain(`${url}: ${answer.status}`);
			text = await answer.text();
		} catch (error) {
			return edge.down || complain(`${url}: ${error}`);
		}
		read(edge, playlist, text);
	}

	function read(edge, playlist, text) {
		const value = (name) => Number(new RegExp(`^#EXT-X-${name}:(\\d+)`, 'm').exec(text)?.[1] ?? 0);
		let number = value('MEDIA-SEQUENCE');
		let discontinuity = value('DISCONTINUITY-SEQUENCE');
		const head = [number, discontinuity, value('TARGETDURATION')];
		const key = `${edge.origin} ${edge.life} ${playlist}`;
		const last = heads.get(key) ?? head;
		heads.set(key, head);
		if (head[0] < last[0] || head[1] < last[1]) complain(`${key} steps back from ${last} to ${head}`);
		if (head[2] !== last[2]) complain(`${key} changes its target duration from ${last} to ${head}`);
		for (const line of text.split('\n')) {
			if (line === '#EXT-X-DISCONTINUITY') discontinuity++;
			if (line === '' || line.startsWith('#')) continue;
			// A renewed token has another seal; the path is what a player knows it by.
			const path = line.split('?')[0];
			const said = `${path} in ${discontinuity}`;
			const id = `${playlist} ${number}`;
			const known = published.get(id);
			if (!known) published.set(id, { said, lines: new Map([[edge, line]]) });
			else if (known.said !== said) complain(`${id}: ${known.said}, and ${said} at ${key}`);
			else known.lines.set(edge, line);
			number++;
		}
	}

	/** The bytes of what was published last, from each edge. */
	async function taste(playlist) {
		const last = [...published].filter(([id]) => id.startsWith(`${playlist} `)).at(-2);
		if (!last) return;
		const [id, { lines }] = last;
		for (const [edge, line] of lines) {
			if (edge.down) continue;
			const answer = await fetch(edge.origin + line, { signal: AbortSignal.timeout(5000) }).catch(
				() => undefined,
			);
			if (!answer || answer.status !== 200) continue;
			const hash = createHash('sha256')
				.update(new Uint8Array(await answer.arrayBuffer()))
				.digest('hex');
			if ((hashes.get(id) ?? hash) !== hash) complain(`${id} has other bytes at ${edge.origin}`);
			hashes.set(id, hash);
		}
	}

	let stop = false;
	const watching = (async () => {
		while (!stop) {
			for (const playlist of playlists) {
				await Promise.all(edges.map((edge) => look(edge, playlist)));
				await taste(playlist).catch(complain);
			}
			await new Promise((resolve) => setTimeout(resolve, 500));
		}
	})();
	// It would go on for ever when the test fails.
	t.after(() => (stop = true));
	return {
		/** The highest discontinuity number that any playlist had. */
		switches: () => Math.max(0, ...[...published.values()].map(({ said }) => Number(said.split(' in ')[1]))),
		async end() {
			stop = true;
			await watching;
			assert.deepEqual(faults, []);
			// One count over all renditions.
			const counts = playlists.map((playlist) => {
				const all = [...published].filter(([id]) => id.startsWith(`${playlist} `));
				return Number(all.at(-1)[1].said.split(' in ')[1]);
			});
			assert.equal(new Set(counts).size, 1, `discontinuities of ${playlists}: ${counts}`);
			return { published: published.size, compared: hashes.size, discontinuities: counts[0] };
		},
	};
}
