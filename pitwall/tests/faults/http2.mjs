// HTTP/2 frame by frame, for what no client library would send.
import tls from 'node:tls';
import { pause } from './client.mjs';

/** Types of frames (RFC 9113, section 6). */
export const TYPE = {
	DATA: 0,
	HEADERS: 1,
	PRIORITY: 2,
	RST_STREAM: 3,
	SETTINGS: 4,
	PING: 6,
	GOAWAY: 7,
	WINDOW_UPDATE: 8,
	CONTINUATION: 9,
};
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** A header block that puts one field of 4 000 bytes into the table and then names it `times` times. */
export function hpackBomb(times) {
	const literal = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
	const long = Buffer.concat([Buffer.from([0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 'a')]);
	return Buffer.concat([
		Buffer.from([0x82, 0x87, 0x84, 0x41]),
		literal('localhost'),
		Buffer.from([0x40]),
		literal('x'),
		long,
		Buffer.alloc(times, 0xbe),
	]);
}

export const frame = (type, flags, stream, payload) => {
	const header = Buffer.alloc(9);
	header.writeUIntBE(payload.length, 0, 3);
	header[3] = type;
	header[4] = flags;
	header.writeUInt32BE(stream, 5);
	return Buffer.concat([header, payload]);
};

export const uint32 = (value) => {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value);
	return bytes;
};

/** One parameter of SETTINGS. */
export const setting = (id, value) => Buffer.concat([Buffer.from([0, id]), uint32(value)]);

/** An integer of HPACK with a prefix of so many bits, below which `first` is set (RFC 7541, section 5.1). */
function hpackInteger(first, bits, value) {
	const limit = 2 ** bits - 1;
	if (value < limit) return Buffer.from([first | value]);
	const bytes = [first | limit];
	let rest = value - limit;
	for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
	return Buffer.from([...bytes, rest]);
}

const hpackText = (text) => Buffer.concat([hpackInteger(0, 7, Buffer.byteLength(text)), Buffer.from(text)]);

/** A field that is not put into the table. */
export const hpackField = (name, value) =>
	Buffer.concat([Buffer.from([0]), hpackText(name), hpackText(value)]);

/** A field that is put into the table. */
export const hpackIndexedField = (name, value) =>
	Buffer.concat([Buffer.from([0x40]), hpackText(name), hpackText(value)]);

/** How large the table of fields is from now on (RFC 7541, section 6.3). */
export const hpackTableSize = (bytes) => hpackInteger(0x20, 5, bytes);

/** The header block of a request; `POST` where `isPost`. */
export const requestBlock = (path, { isPost = false, fields = [] } = {}) =>
	Buffer.concat([
		Buffer.from([isPost ? 0x83 : 0x82, 0x87, 0x04]),
		hpackText(path),
		Buffer.from([0x01]),
		hpackText('localhost'),
		...fields,
	]);

/** A GET in one frame. */
export const getFrame = (stream, path, fields = []) =>
	frame(TYPE.HEADERS, END_STREAM | END_HEADERS, stream, requestBlock(path, { fields }));

/**
 * A connection that has sent its preface and these SETTINGS. With `reads` false nothing is read from it, so that the
 * kernel's buffers fill. `received` counts the frames by type, `errors` holds the error codes of RST_STREAM, `goAway` is
 * that of GOAWAY.
 */
export async function openHttp2(port, ca, { settings = [], reads = true } = {}) {
	const socket = tls.connect({
		port,
		host: 'localhost',
		servername: 'localhost',
		ca,
		ALPNProtocols: ['h2'],
	});
	const connection = {
		socket,
		received: {},
		errors: [],
		goAway: undefined,
		isClosed: false,
		/** Sends these bytes in blocks; resolves to whether they were sent before `seconds` have passed or it was closed. */
		async send(bytes, seconds = 5) {
			const deadline = performance.now() + seconds * 1000;
			for (let at = 0; at < bytes.length && !connection.isClosed; at += 16_384) {
				if (!socket.write(bytes.subarray(at, at + 16_384)))
					await Promise.race([
						new Promise((resolve) => socket.once('drain', resolve)),
						closed,
						pause(deadline - performance.now()),
					]);
				if (performance.now() > deadline) return false;
			}
			return !connection.isClosed;
		},
		/** Whether the server has closed it, at once or within `seconds`. */
		async isEnded(seconds = 2) {
			await Promise.race([closed, pause(seconds * 1000)]);
			return connection.isClosed;
		},
		destroy: () => socket.destroy(),
	};
	const closed = new Promise((resolve) =>
		socket.on('close', () => {
			connection.isClosed = true;
			resolve(undefined);
		}),
	);
	socket.on('error', () => undefined);
	let unread = Buffer.alloc(0);
	socket.on('data', (chunk) => {
		unread = Buffer.concat([unread, chunk]);
		for (;;) {
			if (unread.length < 9) return;
			const length = unread.readUIntBE(0, 3);
			if (unread.length < 9 + length) return;
			const [type, payload] = [unread[3], unread.subarray(9, 9 + length)];
			connection.received[type] = (connection.received[type] ?? 0) + 1;
			if (type === TYPE.RST_STREAM) connection.errors.push(payload.readUInt32BE(0));
			if (type === TYPE.GOAWAY) connection.goAway = payload.readUInt32BE(4);
			unread = unread.subarray(9 + length);
		}
	});
	await new Promise((resolve, reject) => {
		socket.once('secureConnect', resolve);
		socket.once('error', reject);
	});
	if (!reads) socket.pause();
	socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
	socket.write(frame(TYPE.SETTINGS, 0, 0, Buffer.concat(settings)));
	return connection;
}
