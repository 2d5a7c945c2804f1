// An edge with its control plane in one process, and what it plays.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, freePort, pitwall } from './process.mjs';

/** The demo's origin alone. */
export async function demoOrigin(t, ...more) {
	const address = `127.0.0.1:${await freePort()}`;
	const process = pitwall(['origin', '--listen', address, ...more]);
	t.after(() => process.stop());
	await process.until(/The origin is on/);
	return `http://${address}`;
}

/** A folder that is gone after the test. */
export function scratch(t) {
	const folder = mkdtempSync(path.join(tmpdir(), 'pitwall-'));
	t.after(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** A `[[source]]` whose playlist is on this machine. */
export const source = (name, feed, url, more = '') => `
[[source]]
name = "${name}"
kind = "static"
feed = "${feed}"
url = "${url}"
allow_private = ["127.0.0.0/8"]
${more}
`;

/**
 * Runs with these sections of a configuration until the test ends; resolves when it answers. `start` starts it again
 * after a `stop`, with the same addresses and state.
 */
export async function edge(t, sections, folder = scratch(t)) {
	const config = path.join(folder, 'pitwall.toml');
	const [port, admin] = [await freePort(), await freePort()];
	writeFileSync(
		config,
		`[edge]
listen = "127.0.0.1:${port}"
admin = "127.0.0.1:${admin}"
[state]
dir = "${folder}/state"
[schedule]
providers = []
${sections}`,
	);
	let process;
	const start = () => (process = pitwall(['run', '--config', config]));
	const stop = (signal) => process.stop(signal);
	start();
	t.after(() => stop());
	const origin = `http://127.0.0.1:${port}`;
	await eventually(async () => (await fetch(`${origin}/healthz`)).ok, 'the edge is up');
	return { origin, port, start, stop };
}

/** Until every one of these streams can be played. */
export const plays = (origin, streams, query = '') =>
	eventually(async () => {
		const answer = await (await fetch(`${origin}/api/streams${query}`)).json();
		const healthy = answer.streams.filter(({ health }) => health === 'healthy').map(({ id }) => id);
		return streams.every((id) => healthy.includes(id));
	}, `${streams} can be played`);
