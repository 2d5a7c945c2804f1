// A stage: one packager, perhaps a second one, their origins, and an edge, on which a scenario is played.
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sourceSection, startEdge, waitUntilHealthy } from '../frontend/e2e/support/edge.mjs';
import { eventually } from '../frontend/e2e/support/process.mjs';
import { startOrigin } from './origin.mjs';

const ENTRY = 'index.m3u8';
const STREAM = 'camera';
const ADMIN_TOKEN = 'a-token-of-the-conformance-farm-0';
/** Players begin some segments before the end of a playlist. */
const LISTED_SEGMENTS = 4;
/** How long a packager may take until it has written what a scenario asks for. */
const START_SECONDS = 90;

/** Functions that are called in reverse order when something ends. */
export class Scope {
	#ends = [];
	after(end) {
		this.#ends.push(end);
	}
	async end() {
		for (const end of this.#ends.splice(0).reverse()) await end();
	}
}

export function makeFolder(t) {
	const folder = mkdtempSync(path.join(tmpdir(), 'conformance-'));
	chmodSync(folder, 0o755);
	t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }));
	return folder;
}

/** A packager that runs, and can be restarted in its folder. */
async function runPackager(t, packager, encoding) {
	const folder = makeFolder(t);
	const running = {
		folder,
		encoding,
		async start(encoding) {
			running.process = await packager.start(folder, encoding);
		},
		stop: (signal) => running.process.stop(signal),
	};
	await running.start(encoding);
	t.after(() => running.stop());
	return running;
}

/** Packagers run on from cell to cell, unless the scenario changed them. */
export class PackagerPool {
	#running = new Map();

	async take(packager, encoding, role) {
		const key = `${packager.name}/${encoding}/${role}`;
		let entry = this.#running.get(key);
		if (!entry) {
			const scope = new Scope();
			entry = { scope, running: await runPackager(scope, packager, encoding) };
			this.#running.set(key, entry);
		}
		return entry.running;
	}

	async discard(running) {
		for (const [key, entry] of this.#running) {
			if (running && entry.running !== running) continue;
			this.#running.delete(key);
			await entry.scope.end();
		}
	}
}

const fetchText = async (url) => {
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url} answered ${response.status}`);
	return response.text();
};

/** Whether a media playlist lists enough segments, and the next one has at least this number. */
function hasWritten(text, number) {
	const listed = text.match(/#EXTINF/g)?.length ?? 0;
	const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0);
	return listed >= LISTED_SEGMENTS && first + listed >= number;
}

/** The text of the first media playlist behind an address. */
async function mediaPlaylist(url) {
	const text = await fetchText(url);
	const variant = /#EXT-X-STREAM-INF[^\n]*\n+([^#\n]+)/.exec(text);
	return variant ? mediaPlaylist(new URL(variant[1], url)) : text;
}

const recipeSection = (name, page) => `
[[source]]
name = "${name}"
kind = "recipe"
feed = "${STREAM}"
allow_private = ["127.0.0.0/8"]
[[source.step]]
get = "${page}"
[[source.step]]
regex = "playlist: (\\\\S+)"
save = "playlist"
[source.result]
feed = "${STREAM}"
playlist = "{{playlist}}"
`;

export async function openStage(t, pool, packager, scenario) {
	const encodings = ['main', ...(scenario.second ? [scenario.second] : [])];
	const packagers = [];
	for (const [at, encoding] of encodings.entries()) packagers.push(await pool.take(packager, encoding, at));
	const startOrigins = () => Promise.all(packagers.map(({ folder }) => startOrigin(t, folder, ENTRY)));
	const [[direct], sources] = [await startOrigins(), await startOrigins()];
	for (const { url } of sources) {
		await eventually(
			async () => hasWritten(await mediaPlaylist(url), scenario.writtenSegments ?? 0),
			`${packager.name} writes (${packagers[0].process.output().slice(-500)})`,
			START_SECONDS,
		);
	}
	const folder = makeFolder(t);
	const tokenFile = path.join(folder, 'admin-token');
	writeFileSync(tokenFile, ADMIN_TOKEN, { mode: 0o600 });
	const names = ['first', 'second'];
	const edge = await startEdge(
		t,
		`[access]
admin_token_file = "${tokenFile}"
${sources
	.map((source, at) =>
		scenario.tokens
			? recipeSection(names[at], source.page)
			: sourceSection(names[at], STREAM, source.url, `priority = ${2 - at}`),
	)
	.join('')}`,
		folder,
	);
	await waitUntilHealthy(edge.origin, [STREAM]);
	await eventually(async () => {
		const stream = JSON.parse(await fetchText(`${edge.origin}/api/streams/${STREAM}`));
		const healthy = stream.sources.filter(({ health }) => health === 'healthy').length;
		return healthy === sources.length && stream.sources.find(({ active }) => active)?.name === 'first';
	}, 'the first source plays and all are healthy');
	edge.switchTo = async (source) => {
		const response = await fetch(`${edge.origin}/api/streams/${STREAM}/switch`, {
			method: 'POST',
			headers: {
				authorization: `Bearer ${ADMIN_TOKEN}`,
				'content-type': 'application/json',
			},
			body: JSON.stringify({ source }),
		});
		if (!response.ok) throw new Error(`the switch was answered ${response.status} ${await response.text()}`);
	};
	const addressWithToken = async (page) => /\S+$/.exec((await fetchText(page)).trim())[0];
	return {
		packager: packagers[0],
		edge,
		origins: { direct, sources },
		addresses: {
			direct: scenario.tokens ? await addressWithToken(direct.page) : direct.url,
			edge: `${edge.origin}/live/${STREAM}/index.m3u8`,
		},
	};
}
