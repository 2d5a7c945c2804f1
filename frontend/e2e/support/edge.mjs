// An edge with its control plane in one process, and the demo's origin.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, freePort, startPitwall } from './process.mjs';

/** Starts only the demo's origin; returns its URL. */
export async function startDemoOrigin(t, ...more) {
	const address = `127.0.0.1:${await freePort()}`;
	const process = startPitwall(['origin', '--listen', address, ...more]);
	t.after(() => process.stop());
	await process.untilOutput(/The origin is on/);
	return `http://${address}`;
}

/** A temporary folder that is deleted after the test. */
export function tempFolder(t) {
	const folder = mkdtempSync(path.join(tmpdir(), 'pitwall-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** A `[[source]]` section of a configuration, for a playlist on this machine. */
export const sourceSection = (name, feed, url, more = '') => `
[[source]]
name = "${name}"
kind = "static"
feed = "${feed}"
url = "${url}"
allow_private = ["127.0.0.0/8"]
${more}
`;

/**
 * Starts an edge with these sections of a configuration, and these lines in `[edge]`; resolves when the edge is healthy,
 * and stops it when the test ends. The returned `start` restarts the edge after a `stop` with the same addresses and
 * state.
 */
export async function startEdge(t, sections, folder = tempFolder(t), edgeKeys = '') {
	const config = path.join(folder, 'pitwall.toml');
	const [port, admin] = [await freePort(), await freePort()];
	writeFileSync(
		config,
		`[edge]
listen = "127.0.0.1:${port}"
admin = "127.0.0.1:${admin}"
${edgeKeys}
[state]
dir = "${folder}/state"
[schedule]
providers = []
${sections}`,
	);
	let process;
	const start = () => (process = startPitwall(['run', '--config', config]));
	const stop = (signal) => process.stop(signal);
	start();
	t.after(() => stop());
	const origin = `http://127.0.0.1:${port}`;
	await eventually(async () => (await fetch(`${origin}/healthz`)).ok, 'the edge is up');
	return { origin, port, start, stop };
}

/** Waits until all of these streams are healthy. */
export const waitUntilHealthy = (origin, streams, query = '') =>
	eventually(async () => {
		const answer = await (await fetch(`${origin}/api/streams${query}`)).json();
		const healthy = answer.streams.filter(({ health }) => health === 'healthy').map(({ id }) => id);
		return streams.every((id) => healthy.includes(id));
	}, `${streams} can be played`);
