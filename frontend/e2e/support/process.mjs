// Processes that a test starts, and stops by their process id.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const PITWALL = process.env.PITWALL_BIN ?? path.join(ROOT, 'target/debug/pitwall');

/**
 * A free port below the range from which the kernel takes ports for outgoing connections: a port of that range could
 * be taken again before the test listens on it.
 */
export function freePort() {
	return new Promise((resolve) => {
		const port = 10_000 + Math.floor(Math.random() * 20_000);
		const server = createServer();
		server.once('error', () => resolve(freePort()));
		server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
	});
}

/** Makes an HTTP server listen on a free port until the test ends; returns the port. */
export async function listen(t, server) {
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/** Starts a program and keeps the last 8000 characters of its output for error messages. */
export function startProcess(program, args, options = {}) {
	const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
	let output = '';
	const append = (chunk) => (output = (output + chunk).slice(-8000));
	child.stdout.setEncoding('utf8').on('data', append);
	child.stderr.setEncoding('utf8').on('data', append);
	const ended = new Promise((resolve) => child.once('exit', resolve));
	child.once('error', (error) => append(String(error)));
	return {
		pid: child.pid,
		output: () => output,
		/** Calls `listener` with each piece of the output from here on. */
		onOutput: (listener) => [child.stdout, child.stderr].forEach((stream) => stream.on('data', listener)),
		/** Resolves to the output once it matches the pattern; rejects if the program ends before, or after the time. */
		untilOutput: (pattern, seconds = 30) =>
			new Promise((resolve, reject) => {
				const check = () => pattern.test(output) && resolve(output);
				child.stdout.on('data', check);
				child.stderr.on('data', check);
				ended.then((code) => reject(new Error(`${program} ended with ${code}:\n${output}`)));
				setTimeout(
					() => reject(new Error(`${program} did not say ${pattern}:\n${output}`)),
					seconds * 1000,
				).unref();
				check();
			}),
		stop: async (signal = 'SIGTERM') => {
			child.kill(signal);
			const killTimer = setTimeout(() => child.kill('SIGKILL'), 10_000);
			const code = await ended;
			clearTimeout(killTimer);
			return code;
		},
	};
}

export function startPitwall(args, options) {
	return startProcess(PITWALL, args, options);
}

/** Repeats `condition` until its result is truthy, and returns that; throws with the last result after the time. */
export async function eventually(condition, label, seconds = 30) {
	const deadline = Date.now() + seconds * 1000;
	for (;;) {
		let last;
		try {
			last = await condition();
			if (last) return last;
		} catch (error) {
			last = error;
		}
		if (Date.now() > deadline) throw new Error(`${label}: not after ${seconds} s; last: ${last}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
