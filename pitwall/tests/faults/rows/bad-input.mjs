// Bad input: each request with its status and the name of its problem, each configuration with what names the mistake.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { ADMIN_TOKEN, allowed, config, PITWALL } from '../bed.mjs';
import { plainLink, request, sendRaw } from '../client.mjs';
import { segmentBytes, sendBytes } from '../source.mjs';

/** `STATUS NAME` of a response, `STATUS` where it is no problem. */
function outcome({ status, body, headers }) {
	if (!/problem\+json/.test(headers['content-type'] ?? '')) return `${status}`;
	return `${status} ${JSON.parse(body.toString()).type.replace('urn:pitwall:problem:', '')}`;
}

/** Sends each request of `cases`, `name: [path, expected, options]`, and compares. */
async function checkAll(m, label, origin, cases) {
	const [got, expected] = [{}, {}];
	for (const [name, [target, wanted, options]] of Object.entries(cases)) {
		got[name] = outcome(await request(origin + target, { timeout: 15_000, ...options }));
		expected[name] = wanted;
	}
	m.all(label, got, expected);
}

const proxied = (url) => plainLink('/proxy', url);
const encoded = proxied('http://example.com/').split('=')[1];

/** URLs that no `url=` may have. */
const BAD_URLS = [
	'',
	'playlist.m3u8',
	'//example.com/a.m3u8',
	'file:///etc/passwd',
	'ftp://example.com/a',
	'javascript:alert(1)',
	'data:text/plain,x',
	'http://user:password@example.com/',
	'http://user@example.com/',
	'http://example.com/#fragment',
	'http://example.com/%0d%0aX: y',
	'http://example.com\\@evil.example/',
	'http://example.com:0/',
	'http://example.com:70000/',
	'http://[fe80::1%25eth0]/',
	'http://exa mple.com/',
];

const DENIED_HOSTS = [
	'127.1',
	'2130706433',
	'0x7f.1',
	'0177.0.0.1',
	'[::1]',
	'[::ffff:10.0.0.1]',
	'[::ffff:7f00:1]',
	'[64:ff9b::a9fe:a9fe]',
	'[64:ff9b:1::a00:1]',
	'[2002:7f00:1::]',
	'[fe80::1]',
	'[fd00::1]',
	'[2001:db8::1]',
	'100.64.0.1',
	'169.254.169.254',
	'10.0.0.1',
	'172.16.0.1',
	'192.168.1.1',
	'198.18.0.1',
	'224.0.0.1',
	'255.255.255.255',
	'0.0.0.0',
	'localhost',
	'localhost.',
	'LOCALHOST',
];

/** Each configuration with what the message has to name: the line, the key or the file. */
const BAD_CONFIGURATIONS = {
	'unknown key': ['[edge]\nlisten = "127.0.0.1:0"\nlisen = "x"\n', ['pitwall.toml:3', 'lisen']],
	'unknown section': ['[edg]\n', ['pitwall.toml:1', 'edg']],
	'duplicate key': ['[edge]\nthreads = 1\nthreads = 2\n', ['pitwall.toml:3', 'duplicate key']],
	'no TOML': ['[edge\n', ['pitwall.toml:1']],
	'wrong type': ['[edge]\nthreads = "many"\n', ['pitwall.toml:2', 'threads']],
	'negative duration': ['[edge]\ndrain = "-5s"\n', ['pitwall.toml:2', 'drain']],
	'duration without a unit': ['[edge]\ndrain = "5"\n', ['pitwall.toml:2', 'drain']],
	'duration that overflows': ['[edge]\ndrain = "99999999999999999999y"\n', ['pitwall.toml:2', 'drain']],
	'size that overflows': ['[edge.cache]\nbytes = "99999999999999999999GiB"\n', ['pitwall.toml:2', 'bytes']],
	'address without a port': ['[edge]\nlisten = "127.0.0.1"\n', ['pitwall.toml:2', 'listen']],
	'everything opted in': ['[upstream]\nallow_private = ["0.0.0.0/0"]\n', ['pitwall.toml:2', 'allow_private']],
	'everything of IPv6 opted in': [
		'[upstream]\nallow_private = ["::/0"]\n',
		['pitwall.toml:2', 'allow_private'],
	],
	'missing secret': [
		'[access]\nadmin_token_file = "no-such-file"\n',
		['pitwall.toml:2', 'admin_token_file', 'no-such-file'],
	],
	'short secret': ['[access]\nseal_key_file = "short"\n', ['pitwall.toml:2', 'seal_key_file']],
	'missing certificate': [
		'[edge.tls]\ncert = "no.pem"\nkey = "no.key"\n',
		['pitwall.toml:2', 'cert', 'no.pem'],
	],
	'Redis without a key': ['[store]\nkind = "redis"\nurl = "redis://127.0.0.1/"\n', ['seal_key_file']],
	'bad Redis URL': [
		'[store]\nkind = "redis"\nurl = "http://127.0.0.1/"\n[access]\nseal_key_file = "seal"\n',
		['pitwall.toml', 'store.url'],
	],
	'CR and LF in a field': [
		'[[source]]\nname = "a"\nkind = "static"\nfeed = "A"\nurl = "https://example.com/a.m3u8"\nheaders = { X-A = "b\\r\\nc" }\n',
		['pitwall.toml:6', 'headers'],
	],
	'unknown kind': ['[[source]]\nname = "a"\nkind = "magic"\n', ['pitwall.toml:3', 'magic']],
	'two sources of one name': [
		'[[source]]\nname = "a"\nkind = "static"\nfeed = "A"\nurl = "https://example.com/a.m3u8"\n'.repeat(2),
		['pitwall.toml'],
	],
};

export const BAD_INPUT_ROWS = [
	{
		name: 'bad-urls',
		promise: '400 bad-url, 414 for a long one, 401 without a seal',
		fast: true,
		async run(bed, m) {
			const edge = await bed.started(config());
			const cases = Object.fromEntries(
				BAD_URLS.map((url) => [url || 'empty', [proxied(url), '400 bad-url']]),
			);
			await checkAll(m, 'URLs', edge.origin, {
				...cases,
				'two of them': [`/proxy?url=${encoded}&url=${encoded}`, '400 bad-url'],
				'with a seal': [`/proxy?url=${encoded}&u=${encoded}`, '400 bad-url'],
				padded: [`/proxy?url=${encoded}==`, '400 bad-url'],
				'no base64url': ['/proxy?url=not+base64', '400 bad-url'],
				percent: ['/relay?url=%%%', '400 bad-url'],
				'no UTF-8': ['/proxy?url=__79_Pv6', '400 bad-url'],
				long: [proxied(`http://example.com/${'a'.repeat(13_000)}`), '414 uri-too-long'],
				none: ['/proxy', '401 seal-missing'],
				'a seal that is none': ['/proxy?u=AAAA', '401 seal-invalid'],
			});
		},
	},
	{
		name: 'denied-targets',
		promise: '403 target-denied with one text for all, whatever the spelling, and no connection',
		fast: true,
		async run(bed, m) {
			const hosts = [...DENIED_HOSTS.map((host) => `"${host}"`), '"127.0.0.1:22"', '"127.0.0.1:6379"'];
			const edge = await bed.started(config({ upstream: `allow_hosts = [${hosts}]\n` }));
			const targets = [
				...DENIED_HOSTS.map((host) => `http://${host}/a`),
				'http://127.0.0.1:22/',
				'http://127.0.0.1:6379/',
				'http://elsewhere.example/a',
			];
			await checkAll(
				m,
				'targets',
				edge.origin,
				Object.fromEntries(targets.map((url) => [url, [proxied(url), '403 target-denied']])),
			);
			const texts = new Set();
			for (const url of targets)
				texts.add(JSON.parse((await request(edge.origin + proxied(url))).body.toString()).detail);
			m.equal('texts', texts.size, 1);
		},
	},
	{
		name: 'routes-and-methods',
		promise: '404, 405 with Allow, 413 for a body, 429 with Retry-After, 416 with the length',
		fast: true,
		async run(bed, m) {
			const body = segmentBytes('range');
			const server = createServer((incoming, response) =>
				sendBytes(incoming, response, body, { 'content-type': 'video/mp2t' }),
			);
			await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
			bed.after(() => {
				server.closeAllConnections();
				server.close();
			});
			const base = `http://127.0.0.1:${server.address().port}`;
			const edge = await bed.started(config({ upstream: allowed(base) }));
			const relay = plainLink('/relay', `${base}/1.ts`);
			await checkAll(m, 'requests', edge.origin, {
				'unknown stream': ['/live/nothing/index.m3u8', '404 not-found'],
				'unknown rendition': ['/live/nothing/v.m3u8', '404 not-found'],
				'unknown API': ['/api/nothing', '404 not-found'],
				POST: [relay, '405 method-not-allowed', { method: 'POST' }],
				PUT: [relay, '405 method-not-allowed', { method: 'PUT' }],
				DELETE: [relay, '405 method-not-allowed', { method: 'DELETE' }],
				'GET with a body': [
					relay,
					'413 body-not-allowed',
					{ body: 'hello', headers: { 'content-length': '5' } },
				],
				'range behind the end': [relay, '416', { headers: { range: 'bytes=999999999-' } }],
				'range backwards': [relay, '200', { headers: { range: 'bytes=5-2' } }],
				'range of items': [relay, '200', { headers: { range: 'items=0-5' } }],
				'two ranges': [relay, '200', { headers: { range: 'bytes=0-1,5-6' } }],
				'one range': [relay, '206', { headers: { range: 'bytes=0-1' } }],
			});
			const behind = await request(edge.origin + relay, {
				headers: { range: 'bytes=999999999-' },
			});
			m.equal('Content-Range of 416', behind.headers['content-range'], `bytes */${body.length}`);
			const post = await request(edge.origin + relay, { method: 'POST' });
			m.equal('Allow', post.headers.allow, 'GET, HEAD, OPTIONS');
			const raw = {};
			for (const [name, text] of Object.entries({
				TRACE: 'TRACE /relay HTTP/1.1\r\nHost: x\r\n\r\n',
				CONNECT: 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
				'../': 'GET /live/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
				'%2e%2e': 'GET /live/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
				'%2f': 'GET /live/a%2f..%2fb/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n',
			}))
				raw[name] = (await sendRaw(edge.port, Buffer.from(text))).status;
			m.equal('TRACE', raw.TRACE, 405);
			m.equal('CONNECT', raw.CONNECT, 405);
			for (const dots of ['../', '%2e%2e', '%2f']) m.equal(dots, raw[dots], 404);
			const limited = await bed.started(config({ more: '[edge.limits]\nrequests_per_client = 1' }), {
				name: 'limited',
			});
			const answers = [];
			for (let n = 0; n < 10; n++) answers.push(await request(`${limited.origin}/api/status`));
			const refused = answers.filter(({ status }) => status === 429);
			m.atLeast('429 of 10', refused.length, 5);
			m.equal('Retry-After', refused[0]?.headers['retry-after'], '1');
		},
	},
	{
		name: 'upstream-answers',
		promise: '502 upstream-invalid for what is no playlist; 4xx and 5xx keep their meaning; 504 for silence',
		fast: true,
		async run(bed, m) {
			const text = {
				'/html': '<html></html>',
				'/empty': '',
				'/no-extm3u': '#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n',
				'/no-target': '#EXTM3U\n#EXTINF:2,\na.ts\n',
				'/nul': '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na\0.ts\n',
				'/long-line': `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n${'a'.repeat(20_000)}.ts\n`,
			};
			const server = createServer((incoming, response) => {
				const status = /^\/status\/(\d+)/.exec(incoming.url)?.[1];
				if (incoming.url.startsWith('/silent')) return undefined;
				response.writeHead(Number(status ?? 200), {
					'content-type': 'application/vnd.apple.mpegurl',
				});
				return response.end(text[incoming.url.replace('.m3u8', '')] ?? '');
			});
			await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
			bed.after(() => {
				server.closeAllConnections();
				server.close();
			});
			const base = `http://127.0.0.1:${server.address().port}`;
			const edge = await bed.started(
				config({
					upstream: `${allowed(base)}timeouts = { connect = "1s", first_byte = "1s", idle = "1s" }\n`,
				}),
			);
			const of = (route, name) => plainLink(route, `${base}${name}`);
			await checkAll(m, 'answers', edge.origin, {
				html: [of('/proxy', '/html.m3u8'), '502 upstream-invalid'],
				empty: [of('/proxy', '/empty.m3u8'), '502 upstream-invalid'],
				'no EXTM3U': [of('/proxy', '/no-extm3u.m3u8'), '502 upstream-invalid'],
				'no TARGETDURATION': [of('/proxy', '/no-target.m3u8'), '502 upstream-invalid'],
				'a long line': [of('/proxy', '/long-line.m3u8'), '502 upstream-invalid'],
				...Object.fromEntries(
					[403, 404, 410, 451, 500, 503].flatMap((status) => [
						[`proxy ${status}`, [of('/proxy', `/status/${status}`), `${status} upstream-status`]],
						[`relay ${status}`, [of('/relay', `/status/${status}`), `${status} upstream-status`]],
					]),
				),
				204: [of('/relay', '/status/204'), '502 upstream-invalid'],
				silence: [of('/relay', '/silent.ts'), '504 upstream-timeout'],
			});
		},
	},
	{
		name: 'api-bodies',
		promise: '400 malformed, 413 too large, 415 another type, 401 without the admin token',
		fast: true,
		async run(bed, m) {
			const edge = await bed.started(config());
			const json = { 'content-type': 'application/json' };
			const admin = { authorization: `Bearer ${ADMIN_TOKEN}` };
			const post = (body, headers = json) => ({
				method: 'POST',
				body,
				headers,
			});
			await checkAll(m, 'requests', edge.origin, {
				'malformed JSON': ['/api/cmcd', '400 bad-body', post('{')],
				'wrong type': ['/api/cmcd', '400 bad-body', post('[1, 2]')],
				'depth 1000': ['/api/cmcd', '400 bad-body', post('['.repeat(1000) + ']'.repeat(1000))],
				'2 MB': ['/api/cmcd', '413 body-too-large', post('x'.repeat(2 << 20))],
				'another media type': ['/api/cmcd', '415 not-cmcd', post('<x/>', { 'content-type': 'text/xml' })],
				'no token': ['/api/extractors/a/run', '401 admin-token-missing', post('')],
				'wrong token': [
					'/api/extractors/a/run',
					'401 admin-token-invalid',
					post('', { authorization: `Bearer ${'b'.repeat(40)}` }),
				],
				'unknown extractor': ['/api/extractors/a/run', '404 extractor-unknown', post('', admin)],
				'unknown stream': ['/api/streams/a/switch', '404 stream-unknown', post('{}', { ...admin, ...json })],
				'malformed command': ['/api/streams/a/switch', '400 bad-body', post('{', { ...admin, ...json })],
				'large command': [
					'/api/streams/a/switch',
					'413 body-too-large',
					post('x'.repeat(100_000), { ...admin, ...json }),
				],
				'command of another type': [
					'/api/streams/a/switch',
					'415 not-json',
					post('a=b', {
						...admin,
						'content-type': 'application/x-www-form-urlencoded',
					}),
				],
			});
		},
	},
	{
		name: 'bad-configuration',
		promise: 'exit 2, and the message names file, line and key',
		fast: true,
		async run(bed, m) {
			const folder = bed.subfolder('configuration');
			writeFileSync(path.join(folder, 'short'), 'short');
			writeFileSync(path.join(folder, 'seal'), 's'.repeat(40));
			const [got, expected] = [{}, {}];
			for (const [name, [text, words]] of Object.entries(BAD_CONFIGURATIONS)) {
				writeFileSync(path.join(folder, 'pitwall.toml'), text);
				const { status, stdout, stderr } = spawnSync(
					PITWALL,
					['check', '--config', path.join(folder, 'pitwall.toml')],
					{
						encoding: 'utf8',
						cwd: folder,
					},
				);
				const missing = words.filter((word) => !(stdout + stderr).includes(word));
				got[name] = [status, missing];
				expected[name] = [2, []];
			}
			m.all('configurations', got, expected);
		},
	},
];
