// Viewers who read a body at 64 KiB/s each: `node slow-readers.mjs PORT COUNT PATH...`. In a process of their own, so
// that reading costs the viewers that are measured nothing; says `reading` when all have begun.
import net from 'node:net';

const [port, count, ...paths] = process.argv.slice(2);
const [bytes, everyMs] = [32 << 10, 500];
for (let n = 0; n < Number(count); n++) {
	const socket = net.connect(Number(port), '127.0.0.1');
	socket.write(`GET ${paths[n % paths.length]} HTTP/1.1\r\nHost: x\r\n\r\n`);
	await new Promise((resolve) => socket.once('data', resolve));
	socket.pause();
	setInterval(() => socket.read(bytes), everyMs);
	// They do not read all at once.
	await new Promise((resolve) => setTimeout(resolve, everyMs / Number(count)));
}
process.stdout.write('reading\n');
