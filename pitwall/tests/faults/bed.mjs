// The processes of one row: edges, control planes, Redis, each in a temporary folder, all ended with the row.
import { execFileSync, spawnSync } from 'node:child_process';
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, freePort, ROOT, startProcess } from '../../../frontend/e2e/support/process.mjs';
import { getJson, newAgent, pause, request } from './client.mjs';
import { startViewer } from './viewer.mjs';

export { eventually, freePort };

export const PITWALL = path.resolve(process.env.PITWALL ?? path.join(ROOT, 'target/release/pitwall'));
export const ADMIN_TOKEN = 'a'.repeat(40);
const SEAL_KEY = 'k'.repeat(40);
/** libfaketime for `clock`: the offset is in a file, and monotonic timers are left alone. */
const FAKETIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib']
	.map((folder) => path.join(folder, 'faketime/libfaketime.so.1'))
	.find(existsSync);

/** Why a row cannot run on this machine. It is reported, and never counts as passed. */
export class Unavailable extends Error {}

export const isRoot = process.getuid() === 0;
export function need(condition, what) {
	if (!condition) throw new Unavailable(`needs ${what}`);
}
export const hasProgram = (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

/** The sections that most rows share; `store` is the port of a Redis. */
export const config = ({ source = '', edge = '', access = '', upstream = '', store, more = '' } = {}) => `
[edge]
${edge}
[access]
${access}
[schedule]
providers = []
${upstream && `[upstream]\n${upstream}`}
${store ? `[store]\nkind = "redis"\nurl = "redis://127.0.0.1:${store}/0"` : ''}
${more}
${source}
`;

/** Lets a plain `url=` name these origins on this machine. */
export const allowed = (...bases) =>
	`allow_hosts = [${bases.map((base) => `"${base.replace(/^https?:\/\//, '')}"`)}]\nallow_private = ["127.0.0.0/8"]\n`;

export class Bed {
	#ends = [];
	#processes = [];
	#names = new Set();

	constructor() {
		this.folder = mkdtempSync(path.join(tmpdir(), 'pitwall-faults-'));
		/** The counts of every viewer that was stopped, for the totals. */
		this.viewers = [];
		/** By process: the highest resident memory and number of open files that were seen. */
		this.peaks = {};
	}

	/** Called when the row ends, the last one first. */
	after(end) {
		this.#ends.push(end);
	}

	async end() {
		for (const end of this.#ends.reverse()) {
			await Promise.resolve()
				.then(end)
				.catch(() => undefined);
		}
		rmSync(this.folder, { recursive: true, force: true });
	}

	subfolder(name) {
		const folder = path.join(this.folder, name);
		mkdirSync(folder, { recursive: true });
		return folder;
	}

	/**
	 * A process of Pitwall: `role` is `run`, `proxy` or `control-plane`, `text` its configuration. It is not started
	 * yet. `wrap` is put before the command, such as `['prlimit', '--nofile=256']`; `clock` runs it on a clock that
	 * `setClock(seconds)` moves.
	 */
	async pitwall(text, options = {}) {
		const { role = 'run', name = role, wrap = [], clock = false, env = {}, listen, admin } = options;
		// Two processes of one name would share a state directory, which the second one refuses.
		if (this.#names.has(name)) throw new Error(`a second process is called ${name}`);
		this.#names.add(name);
		const folder = this.subfolder(name);
		const state = options.state ?? path.join(folder, 'state');
		const file = path.join(folder, 'pitwall.toml');
		writeFileSync(path.join(this.folder, 'seal.key'), SEAL_KEY);
		writeFileSync(path.join(this.folder, 'admin.token'), ADMIN_TOKEN);
		writeFileSync(file, text);
		const port = listen ?? (await freePort());
		const adminPort = admin ?? (await freePort());
		const control = options.control ?? (await freePort());
		const offsetFile = path.join(folder, 'clock');
		const variables = {
			...process.env,
			PITWALL_LOG: 'warn',
			// All viewers of a row have one address.
			PITWALL_EDGE__LIMITS__CONNECTIONS_PER_CLIENT: '100000',
			PITWALL_STATE__DIR: state,
			PITWALL_EDGE__LISTEN: `127.0.0.1:${port}`,
			PITWALL_ACCESS__ADMIN_TOKEN_FILE: path.join(this.folder, 'admin.token'),
			...(text.includes('[store]') && {
				PITWALL_ACCESS__SEAL_KEY_FILE: path.join(this.folder, 'seal.key'),
			}),
			...(role === 'control-plane'
				? {
						PITWALL_CONTROL__LISTEN: `127.0.0.1:${control}`,
						PITWALL_CONTROL__ADMIN: `127.0.0.1:${adminPort}`,
					}
				: {
						PITWALL_EDGE__ADMIN: `127.0.0.1:${adminPort}`,
						PITWALL_EDGE__CONTROL: `127.0.0.1:${control}`,
					}),
			...(clock && {
				LD_PRELOAD: FAKETIME,
				FAKETIME_TIMESTAMP_FILE: offsetFile,
				FAKETIME_NO_CACHE: '1',
				DONT_FAKE_MONOTONIC: '1',
				FAKETIME_DONT_FAKE_MONOTONIC: '1',
			}),
			...env,
		};
		delete variables.PITWALL;
		if (clock) need(FAKETIME, 'faketime');
		const bed = this;
		const edge = {
			name,
			folder,
			state,
			port,
			admin: adminPort,
			control,
			origin: `http://127.0.0.1:${port}`,
			adminOrigin: `http://127.0.0.1:${adminPort}`,
			child: undefined,
			setClock: (seconds) => writeFileSync(offsetFile, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}`),
			/** Starts the process without waiting for anything. */
			spawn() {
				const [program, ...args] = [...wrap, edge.program, role, '--config', file];
				edge.child = startProcess(program, args, {
					env: { ...variables, ...edge.env },
					cwd: folder,
				});
				bed.#processes.push(edge);
				return edge;
			},
			env: {},
			program: PITWALL,
			file,
			variables,
			/** Starts it and waits until it is ready; resolves to the milliseconds that this took. */
			async start(seconds = 30) {
				const began = performance.now();
				edge.spawn();
				const url = `${role === 'control-plane' ? edge.adminOrigin : edge.origin}/readyz`;
				const deadline = began + seconds * 1000;
				for (;;) {
					const answer = await request(url, { timeout: 1000, agent: false });
					if (answer.status === 200) return performance.now() - began;
					if (performance.now() > deadline)
						throw new Error(`${name} is not ready in ${seconds} s: ${answer.status} ${edge.child.output()}`);
					await pause(10);
				}
			},
			stop: (signal) => edge.child.stop(signal),
			kill: () => edge.child.stop('SIGKILL'),
			signal: (signal) => process.kill(edge.child.pid, signal),
			metric: (pattern) => bed.metric(edge.adminOrigin, pattern),
			resources: () => resources(edge.child.pid),
			async streams() {
				return (await getJson(`${edge.origin}/api/streams`)).streams;
			},
			/** Waits until all of these streams are healthy. */
			untilHealthy: (ids = ['world-feed'], seconds = 30) =>
				eventually(
					async () => {
						const healthy = (await edge.streams()).filter(({ health }) => health === 'healthy');
						return ids.every((id) => healthy.some((stream) => stream.id === id));
					},
					`${ids} are healthy (${edge.child.output().slice(-500)})`,
					seconds,
				),
			/** Waits until a stream has so many upstreams that can play. */
			untilUpstreams: (count, stream = 'world-feed') =>
				eventually(async () => {
					const { upstreams } = await getJson(`${edge.origin}/api/streams/${stream}/explain`);
					return upstreams.filter(({ health }) => health !== 'down').length >= count;
				}, `${count} upstreams of ${stream}`),
			viewer(stream, more) {
				const viewer = startViewer(edge.origin, stream, more);
				bed.watch(viewer);
				return viewer;
			},
		};
		edge.setClock(0);
		this.after(async () => edge.child && (await edge.child.stop('SIGKILL')));
		return edge;
	}

	/** Counts a viewer of a row's own, and ends it with the row. */
	watch(viewer) {
		this.viewers.push(viewer.counts);
		this.after(() => viewer.stop());
		return viewer;
	}

	/** A process that is ready. */
	async started(text, options) {
		const edge = await this.pitwall(text, options);
		await edge.start();
		return edge;
	}

	/** The sum of the metric's series that match; NaN where there is none. */
	async metric(origin, pattern) {
		const text = (await request(`${origin}/metrics`, { timeout: 5000 })).body.toString();
		const lines = text.split('\n').filter((line) => !line.startsWith('#') && pattern.test(line));
		return lines.length === 0 ? NaN : lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
	}

	async redis(options = []) {
		need(hasProgram('redis-server'), 'redis-server');
		const port = await freePort();
		const folder = this.subfolder(`redis-${port}`);
		const redis = {
			port,
			child: undefined,
			async start() {
				// prettier-ignore
				redis.child = startProcess('redis-server', [
					'--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--appendonly', 'no', '--dir', folder, ...options,
				]);
				await redis.child.untilOutput(/Ready to accept connections/);
			},
			stop: (signal = 'SIGKILL') => redis.child.stop(signal),
			signal: (signal) => process.kill(redis.child.pid, signal),
			/** One command, its arguments as strings or bytes; resolves to the reply as it came. */
			command: (...args) => redisCommand(port, args),
		};
		await redis.start();
		this.after(() => {
			redis.child.stop('SIGKILL');
		});
		return redis;
	}

	/** A TCP proxy in front of `port`. `delay` (ms) holds back every byte to the client; settable while it runs. */
	async slowProxy(port) {
		const proxy = { port: 0, delay: 0 };
		const server = createServer((client) => {
			const upstream = connect(port, '127.0.0.1');
			client.pipe(upstream);
			upstream.on('data', (chunk) => setTimeout(() => client.writable && client.write(chunk), proxy.delay));
			const end = () => {
				client.destroy();
				upstream.destroy();
			};
			for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
		});
		await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
		proxy.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port;
		this.after(() => {
			server.close();
		});
		return proxy;
	}

	/** A file system of its own with so many bytes. */
	tmpfs(name, bytes) {
		need(isRoot, 'root, to mount a small file system');
		const folder = this.subfolder(name);
		const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
		need(mounted.status === 0, 'the right to mount a small file system');
		this.after(() => {
			spawnSync('umount', ['-l', folder]);
		});
		return folder;
	}

	/** A certificate authority, and certificates that it signed: `{cert, key}` as files. */
	authority() {
		const folder = this.subfolder('authority');
		const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
		// prettier-ignore
		openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key',
			'-out', 'ca.pem', '-days', '30', '-subj', '/CN=Test authority',
			'-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
		writeFileSync(path.join(folder, 'index.txt'), '');
		const sign = (name, host, { selfSigned = false, expired = false } = {}) => {
			const [key, cert] = [path.join(folder, `${name}.key`), path.join(folder, `${name}.pem`)];
			const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`];
			const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
			if (selfSigned) openssl('req', '-x509', ...newKey, '-out', cert, '-days', '30', ...subject);
			else {
				openssl('req', '-new', ...newKey, '-out', `${name}.csr`, ...subject);
				writeFileSync(
					path.join(folder, `${name}.cnf`),
					`[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial-${name}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:${host}\n`,
				);
				const dates = expired
					? ['20200101000000Z', '20210101000000Z']
					: ['20200101000000Z', '20990101000000Z'];
				// prettier-ignore
				openssl('ca', '-batch', '-notext', '-create_serial', '-rand_serial', '-config', `${name}.cnf`, '-extensions', 'e', '-cert', 'ca.pem', '-keyfile', 'ca.key',
					'-in', `${name}.csr`, '-out', cert, '-startdate', dates[0], '-enddate', dates[1]);
			}
			return {
				cert: readFileSync(cert),
				key: readFileSync(key),
				certFile: cert,
				keyFile: key,
			};
		};
		return {
			file: path.join(folder, 'ca.pem'),
			certificate: readFileSync(path.join(folder, 'ca.pem')),
			sign,
		};
	}

	/** Notes the present memory and open files of all processes. */
	sample() {
		for (const { name, child } of this.#processes) {
			const now = resources(child.pid);
			const peak = (this.peaks[name] ??= { rssMiB: 0, openFiles: 0 });
			peak.rssMiB = Math.max(peak.rssMiB, now.rssMiB);
			peak.openFiles = Math.max(peak.openFiles, now.openFiles);
		}
	}

	/** A client with connections of its own. */
	agent(options) {
		const agent = newAgent(options);
		this.after(() => agent.destroy());
		return agent;
	}
}

/** Resident memory in MiB and open files of a process; zeros where it has ended. */
export function resources(pid) {
	try {
		const [, rss = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
		return {
			rssMiB: Math.round(Number(rss) / 1024),
			openFiles: readdirSync(`/proc/${pid}/fd`).length,
		};
	} catch {
		return { rssMiB: 0, openFiles: 0 };
	}
}

/** Seconds of processor time that a process has used. */
export function cpuSeconds(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
	// The kernel counts in hundredths (USER_HZ).
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

function redisCommand(port, args) {
	return new Promise((resolve, reject) => {
		const chunks = [];
		const socket = connect(port, '127.0.0.1', () => {
			socket.write(`*${args.length + 0}\r\n`);
			for (const arg of args) {
				const bytes = Buffer.from(arg);
				socket.write(`$${bytes.length}\r\n`);
				socket.write(bytes);
				socket.write('\r\n');
			}
			socket.write('*1\r\n$4\r\nQUIT\r\n');
		});
		socket.on('data', (chunk) => chunks.push(chunk));
		socket.on('error', reject);
		socket.on('close', () =>
			resolve(
				Buffer.concat(chunks)
					.toString('latin1')
					.replace(/\+OK\r\n$/, ''),
			),
		);
	});
}
