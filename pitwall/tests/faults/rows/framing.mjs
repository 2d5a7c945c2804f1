// HTTP/1.1 byte by byte: each request with the answers that it gets, and how often the origin is asked for it.
import net from 'node:net';
import { pause, sendRaw } from '../client.mjs';
import { relayBed } from '../relay.mjs';

/**
 * The responses in what a connection has received, in their order: `STATUS`, `STATUS PROBLEM`, or `cut`.
 * `methods` are those of the requests, as a response to HEAD has no body.
 */
function outcomes(text, methods = []) {
	const found = [];
	for (let rest = text; rest !== '';) {
		const end = rest.indexOf('\r\n\r\n');
		const status = /^HTTP\/1\.[01] (\d{3})/.exec(rest)?.[1];
		if (!status || end < 0) return [...found, 'cut'];
		const header = rest.slice(0, end);
		const isHead = methods[found.length] === 'HEAD' || status === '100';
		const length = isHead ? 0 : Number(/^content-length: (\d+)/im.exec(header)?.[1] ?? 0);
		const body = rest.slice(end + 4, end + 4 + length);
		if (body.length < length) return [...found, 'cut'];
		const problem = /problem\+json/i.test(header) && !isHead && JSON.parse(body).type;
		found.push(problem ? `${status} ${problem.replace('urn:pitwall:problem:', '')}` : status);
		rest = rest.slice(end + 4 + length);
	}
	return found;
}

/** `|` is CR LF and `@` the path of a link that the origin would answer, another one in each request. */
const bytesOf = (text, path) => Buffer.from(text.replaceAll('|', '\r\n').replaceAll('@', path), 'latin1');

const HOST = 'Host: x|Connection: close|';
const GET = 'GET @ HTTP/1.1|';
const report = (fields, body) =>
	`POST /api/cmcd HTTP/1.1|${HOST}Content-Type: application/json|${fields}|${body}`;
/** A report on a stream that does not exist, so that 404 says that the body was read as it was meant. */
const REPORT = '{"cid":"no"}';
const CHUNKED = 'Transfer-Encoding: chunked|';
/** Refused before the edge sees it, and by the edge. */
const REFUSED = '400';
const BAD_URL = '400 bad-url';
const BAD_BODY = '400 bad-body';

/**
 * Requests, the answers that they get, and how many requests the origin gets for them. A framing that another server could
 * read differently is refused, and nothing behind it is read as a request.
 */
const REQUESTS = {
	// Lines.
	'as usual': [`${GET}${HOST}|`, ['200'], 1],
	'line feeds alone': [`GET @ HTTP/1.1\nHost: x\nConnection: close\n\n`, ['200'], 1],
	'carriage returns alone': [`GET @ HTTP/1.1\rHost: x\r\r`, [REFUSED], 0],
	'a carriage return in the request line': [`GET @\r HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	'a carriage return before a field': [`${GET}${HOST}\rX: y||`, [REFUSED], 0],
	'empty lines first': [`||${GET}${HOST}|`, ['200'], 1],
	'a folded field': [`${GET}${HOST}X: a| b||`, [REFUSED], 0],
	'a folded Host': [`${GET}Host:| x||`, [REFUSED], 0],
	'a folded first line': [`${GET} ${HOST}|`, [REFUSED], 0],
	'two spaces': [`GET  @ HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	'a tab': [`GET\t@ HTTP/1.1|${HOST}|`, [REFUSED], 0],
	'a space first': [` ${GET}${HOST}|`, [REFUSED], 0],
	'a space last': [`GET @ HTTP/1.1 |${HOST}|`, [REFUSED], 0],
	'HTTP/1.10': [`GET @ HTTP/1.10|${HOST}|`, [REFUSED], 0],
	'http/1.1': [`GET @ http/1.1|${HOST}|`, [REFUSED], 0],
	'HTTP/2 in clear text': ['PRI * HTTP/2.0||SM||', [REFUSED], 0],
	// Fields.
	'a name with a space': [`${GET}${HOST}a b: c||`, [REFUSED], 0],
	'a name that is empty': [`${GET}${HOST}: c||`, [REFUSED], 0],
	'a name beyond ASCII': [`${GET}${HOST}\xe9: c||`, [REFUSED], 0],
	'a line without a colon': [`${GET}${HOST}abc||`, [REFUSED], 0],
	'a tab before the colon': [`${GET}${HOST}X\t: c||`, [REFUSED], 0],
	'a control character in a value': [`${GET}${HOST}X: a\x01b||`, [REFUSED], 0],
	'bytes beyond ASCII in a value': [`${GET}${HOST}X: \xe9\xff||`, ['200'], 1],
	'101 fields': [`${GET}${HOST}${'X: y|'.repeat(101)}|`, ['431 headers-too-large'], 0],
	// Host and target.
	'Host twice, the same': [`${GET}Host: x|Host: x||`, [REFUSED], 0],
	'two hosts in one': [`${GET}Host: x, y|Connection: close||`, [BAD_URL], 0],
	'a Host with a path': [`${GET}Host: x/y|Connection: close||`, [BAD_URL], 0],
	'a Host with a user': [`${GET}Host: a@x|Connection: close||`, [BAD_URL], 0],
	'absolute form': [`GET http://x@ HTTP/1.1|${HOST}|`, ['200'], 1],
	'absolute form, another authority': [`GET http://y@ HTTP/1.1|${HOST}|`, [REFUSED], 0],
	'absolute form, a user': [`GET http://a@x@ HTTP/1.1|${HOST}|`, [REFUSED], 0],
	'authority form': [`GET x:80 HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	'asterisk form': [`GET * HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	'no slash first': [`GET relay HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	// As nginx reads it.
	'a fragment': [`GET @#x HTTP/1.1|${HOST}|`, ['200'], 1],
	'a NUL in the target': [`GET @\0 HTTP/1.1|${HOST}|`, [BAD_URL], 0],
	// Lengths and codings.
	'length 0': [`${GET}${HOST}Content-Length: 0||`, ['200'], 1],
	'length 0 twice': [`${GET}${HOST}Content-Length: 0|Content-Length: 0||`, ['200'], 1],
	'no length': [`${GET}${HOST}Content-Length:||`, [REFUSED], 0],
	'a negative length': [`${GET}${HOST}Content-Length: -0||`, [REFUSED], 0],
	'a length in hexadecimal': [`${GET}${HOST}Content-Length: 0x1||a`, [REFUSED], 0],
	'a length with a space': [`${GET}${HOST}Content-Length: 1 1||a`, [REFUSED], 0],
	'a length beyond 2^64': [`${GET}${HOST}Content-Length: 18446744073709551617||a`, [REFUSED], 0],
	'a length list': [`${GET}${HOST}Content-Length: 1, 2||a`, [REFUSED], 0],
	'a body of GET': [`${GET}${HOST}Content-Length: 1||a`, ['413 body-not-allowed'], 0],
	'a chunked body of GET': [`${GET}${HOST}${CHUNKED}|0||`, ['413 body-not-allowed'], 0],
	'a request in a body': [
		`${GET}Host: x|Content-Length: 40||GET @ HTTP/1.1|Host: x||`,
		['413 body-not-allowed'],
		0,
	],
	'chunked;x': [report('Transfer-Encoding: chunked;x|', `c|${REPORT}|0||`), [REFUSED], 0],
	xchunked: [report('Transfer-Encoding: xchunked|', `c|${REPORT}|0||`), [REFUSED], 0],
	'chunked with a control character': [
		report('Transfer-Encoding: \x0bchunked|', `c|${REPORT}|0||`),
		[REFUSED],
		0,
	],
	'chunked, identity': [report('Transfer-Encoding: chunked, identity|', `c|${REPORT}|0||`), [REFUSED], 0],
	'identity, chunked': [report('Transfer-Encoding: identity, chunked|', `c|${REPORT}|0||`), [BAD_BODY], 0],
	'chunked in two fields': [report(CHUNKED + CHUNKED, `c|${REPORT}|0||`), [BAD_BODY], 0],
	// The chunks count, and the connection ends (RFC 9112, section 6.3).
	'a length and chunks': [
		`POST /api/cmcd HTTP/1.1|Host: x|Content-Length: 3|${CHUNKED}Content-Type: application/json||c|${REPORT}|0||GET @ HTTP/1.1|Host: x||`,
		['404 not-found'],
		0,
	],
	// Chunks.
	'a report in chunks': [report(CHUNKED, `6|{"cid"|6|:"no"}|0||`), ['404 not-found'], 0],
	'a chunk extension': [report(CHUNKED, `c;a=b|${REPORT}|0;c="d"||`), ['404 not-found'], 0],
	trailers: [report(CHUNKED, `c|${REPORT}|0|Host: y|X: z||`), ['404 not-found'], 0],
	// The extension goes on to CR LF, so that the next twelve bytes are the chunk.
	'a chunk extension with a line feed': [report(CHUNKED, `c;a\n${REPORT}|0||xxxxxxxx||0||`), [BAD_BODY], 0],
	'a chunk that is longer': [report(CHUNKED, `5|${REPORT}|0||`), [BAD_BODY], 0],
	'a chunk without a size': [report(CHUNKED, `;a|${REPORT}|0||`), [BAD_BODY], 0],
	'a chunk of 0x': [report(CHUNKED, `0xc|${REPORT}|0||`), [BAD_BODY], 0],
	'a chunk beyond 2^64': [report(CHUNKED, `10000000000000000|${REPORT}|0||`), [BAD_BODY], 0],
	// Expectations and upgrades.
	'100-continue': [report('Expect: 100-continue|Content-Length: 12|', REPORT), ['100', '404 not-found'], 0],
	'100-continue without a body': [`${GET}${HOST}Expect: 100-continue||`, ['200'], 1],
	'another expectation': [`${GET}${HOST}Expect: x||`, ['200'], 1],
	h2c: [
		`${GET}Host: x|Connection: Upgrade, HTTP2-Settings, close|Upgrade: h2c|HTTP2-Settings: AAAA||`,
		['200'],
		1,
	],
	websocket: [
		`${GET}Host: x|Connection: Upgrade, close|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==||`,
		['200'],
		1,
	],
	// Methods.
	HEAD: [`HEAD @ HTTP/1.1|${HOST}|`, ['200'], 1],
	OPTIONS: [`OPTIONS @ HTTP/1.1|${HOST}|`, ['204'], 0],
	'OPTIONS *': [`OPTIONS * HTTP/1.1|${HOST}|`, ['405 method-not-allowed'], 0],
	PATCH: [`PATCH @ HTTP/1.1|${HOST}|`, ['405 method-not-allowed'], 0],
	PURGE: [`PURGE @ HTTP/1.1|${HOST}|`, ['405 method-not-allowed'], 0],
	get: [`get @ HTTP/1.1|${HOST}|`, ['405 method-not-allowed'], 0],
	'a method of 300 letters': [`${'A'.repeat(300)} @ HTTP/1.1|${HOST}|`, ['405 method-not-allowed'], 0],
	'a method with a bracket': [`GE(T @ HTTP/1.1|${HOST}|`, [REFUSED], 0],
	// Ranges: one of bytes, and whatever else is no range.
	'bytes=0-': [`${GET}${HOST}Range: bytes=0-||`, ['206'], 1],
	'bytes=0-0': [`${GET}${HOST}Range: bytes=0-0||`, ['206'], 1],
	'bytes=-1': [`${GET}${HOST}Range: bytes=-1||`, ['206'], 1],
	'bytes=-0': [`${GET}${HOST}Range: bytes=-0||`, ['416'], 1],
	'bytes=-99999999': [`${GET}${HOST}Range: bytes=-99999999||`, ['206'], 1],
	'BYTES=0-1': [`${GET}${HOST}Range: BYTES=0-1||`, ['206'], 1],
	'bytes = 0-1': [`${GET}${HOST}Range: bytes = 0-1||`, ['200'], 1],
	'bytes=0-1,': [`${GET}${HOST}Range: bytes=0-1,||`, ['206'], 1],
	'bytes=': [`${GET}${HOST}Range: bytes=||`, ['200'], 1],
	'bytes=a-b': [`${GET}${HOST}Range: bytes=a-b||`, ['200'], 1],
	'bytes=--1': [`${GET}${HOST}Range: bytes=--1||`, ['200'], 1],
	'bytes=0x0-1': [`${GET}${HOST}Range: bytes=0x0-1||`, ['200'], 1],
	'an end beyond 2^64': [`${GET}${HOST}Range: bytes=0-18446744073709551616||`, ['206'], 1],
	'a start beyond 2^64': [`${GET}${HOST}Range: bytes=18446744073709551616-||`, ['416'], 1],
	'a thousand ranges': [`${GET}${HOST}Range: bytes=0-0${',1-1'.repeat(1000)}||`, ['200'], 1],
	'two fields of ranges': [`${GET}${HOST}Range: bytes=0-1|Range: bytes=2-3||`, ['206'], 1],
	'a condition that is not met': [`${GET}${HOST}Range: bytes=0-1|If-Range: "x"||`, ['200'], 1],
	// What a connection may be told to forget.
	'Connection: Host, Range': [`${GET}Host: x|Connection: close, Host, Range|Range: bytes=0-1||`, ['206'], 1],
};

/** The fields that an origin may see; nothing of a viewer's request but a range and a condition is sent on. */
const SENT_ON = ['host', 'user-agent', 'accept', 'accept-encoding', 'range', 'if-range', 'connection'];

/** Sends these bytes one by one, and reads until the server closes the connection. */
function sendSlowly(port, bytes) {
	return new Promise((resolve) => {
		const chunks = [];
		const socket = net.connect(port, '127.0.0.1', async () => {
			socket.setNoDelay(true);
			for (let at = 0; at < bytes.length && socket.writable; at++) {
				socket.write(bytes.subarray(at, at + 1));
				await pause(1);
			}
		});
		socket.on('data', (chunk) => chunks.push(chunk));
		socket.on('error', () => undefined);
		socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
	});
}

export const FRAMING_ROWS = [
	{
		name: 'request-framing',
		promise:
			'each request byte by byte gets its answers: 400 where another server could read it differently, and then nothing behind it is read; requests in one write are answered in their order; the origin sees what is meant for it, and no field of a viewer',
		fast: true,
		async run(bed, m) {
			const { edge, requests, heads, path } = await relayBed(bed);
			const [got, expected] = [{}, {}];
			const names = Object.keys(REQUESTS);
			const secrets = 'Cookie: a=b|Authorization: Bearer c|X-Forwarded-For: 1.2.3.4|X-Own: d|';
			await Promise.all(
				names.map(async (name, n) => {
					const [text, answers, count] = REQUESTS[name];
					const bytes = bytesOf(text.replace('Host: x|', `Host: x|${secrets}`), path(`10-${n}.ts`));
					const { text: received, closed } = await sendRaw(edge.port, bytes, { wait: 500 });
					const asked = requests.filter((url) => url === `/10-${n}.ts`).length;
					const method = text.split(' ')[0];
					got[name] = [outcomes(received, [method]), closed ? 'closed' : 'open', asked];
					expected[name] = [answers, 'closed', count];
				}),
			);
			m.all('requests', got, expected);
			const fields = new Set(heads.flatMap(({ headers }) => Object.keys(headers)));
			m.equal(
				'fields sent on that should not be',
				[...fields].filter((name) => !SENT_ON.includes(name)),
				[],
			);
			// In their order, also behind a body; what is refused for its framing ends the connection.
			const get = `GET @ HTTP/1.1|Host: x||`;
			const post = `POST /api/cmcd HTTP/1.1|Host: x|Content-Type: application/json|Content-Length: 12||${REPORT}`;
			const pipelined = {};
			for (const [name, text] of Object.entries({
				'three in one write': get.repeat(3),
				'behind a body': post + get + post,
				'a part of one': `${get}GET /`,
				'behind a close': `${GET}${HOST}|${get}`,
				'behind a bad framing': `${GET}Host: x|Content-Length: x||${get}`,
				'behind a body that is not allowed': `${GET}Host: x|Content-Length: 1||a${get}`,
				'the last one is closed': `${get.repeat(40)}${GET}${HOST}|`,
			})) {
				const answers = await sendRaw(edge.port, bytesOf(text, path('10-many.ts')), { wait: 1000 });
				pipelined[name] = outcomes(answers.text).join() + (answers.closed ? ', closed' : '');
			}
			m.all('pipelined', pipelined, {
				'three in one write': '200,200,200',
				'behind a body': '404 not-found,200,404 not-found',
				'a part of one': '200',
				'behind a close': '200, closed',
				'behind a bad framing': `${REFUSED}, closed`,
				'behind a body that is not allowed': '413 body-not-allowed, closed',
				'the last one is closed': `${'200,'.repeat(40)}200, closed`,
			});
			const one = bytesOf(`${GET}${HOST}|`, path('10-one.ts'));
			m.equal('in single bytes', outcomes(await sendSlowly(edge.port, one)), ['200']);
		},
	},
];
