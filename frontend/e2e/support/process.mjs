// Processes that a test starts and stops, by id.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const PITWALL = process.env.PITWALL_BIN ?? path.join(ROOT, 'target/debug/pitwall');

/**
 * A port that nothing listens on, below those that the kernel gives to whoever connects: one of these may be
 * taken again before it is listened on.
 */
export function freePort() {
	return new Promise((resolve) => {
		const port = 10_000 + Math.floor(Math.random() * 20_000);
		const server = createServer();
		server.once('error', () => resolve(freePort()));
		server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
	});
}

/** Has an HTTP server listen until the test ends; gives its port. */
export async function listen(t, server) {
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/** Starts a program; what it says is shown when it fails. */
export function start(program, args, options = {}) {
	const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
	let said = '';
	const hear = (chunk) => (said = (said + chunk).slice(-8000));
	child.stdout.setEncoding('utf8').on('data', hear);
	child.stderr.setEncoding('utf8').on('data', hear);
	const ended = new Promise((resolve) => child.once('exit', resolve));
	child.once('error', (error) => hear(String(error)));
	return {
		pid: child.pid,
		said: () => said,
		/** Resolves when it has printed what matches; rejects when it ends before. */
		until: (pattern, seconds = 30) =>
			new Promise((resolve, reject) => {
				const look = () => pattern.test(said) && resolve(said);
				child.stdout.on('data', look);
				child.stderr.on('data', look);
				ended.then((code) => reject(new Error(`${program} ended with ${code}:\n${said}`)));
				setTimeout(
					() => reject(new Error(`${program} did not say ${pattern}:\n${said}`)),
					seconds * 1000,
				).unref();
				look();
			}),
		stop: async (signal = 'SIGTERM') => {
			child.kill(signal);
			const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
			const code = await ended;
			clearTimeout(late);
			return code;
		},
	};
}

export function pitwall(args, options) {
	return start(PITWALL, args, options);
}

/** Asks until the answer is right; says what it was when it never is. */
export async function eventually(ask, what, seconds = 30) {
	const deadline = Date.now() + seconds * 1000;
	for (;;) {
		let last;
		try {
			last = await ask();
			if (last) return last;
		} catch (error) {
			last = error;
		}
		if (Date.now() > deadline) throw new Error(`${what}: not after ${seconds} s; last: ${last}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}
