import { expect, test } from 'vitest';
import { CommandError, sendCommand, type CommandOptions } from './command';

function recordingFetch(answer: () => Response) {
	const requests: [string, RequestInit][] = [];
	const fetcher = ((url: string, init: RequestInit) => {
		requests.push([url, init]);
		return Promise.resolve(answer());
	}) as typeof fetch;
	return { requests, fetcher };
}

test.each<[CommandOptions, Record<string, string>, string | undefined]>([
	[{}, {}, undefined],
	[{ method: 'POST', body: { pin: false } }, { 'content-type': 'application/json' }, '{"pin":false}'],
	[{ method: 'DELETE', version: 'a1' }, { 'if-match': '"a1"' }, undefined],
	[
		{ method: 'PUT', version: null, body: {} },
		{ 'if-none-match': '*', 'content-type': 'application/json' },
		'{}',
	],
])('%j is sent with the token and its version', async (options, headers, body) => {
	const { requests, fetcher } = recordingFetch(() => Response.json({ fine: true }));
	await expect(sendCommand('secret', '/api/overrides', options, fetcher)).resolves.toEqual({ fine: true });
	const [url, init] = requests[0] ?? ['', {}];
	expect(url).toBe('/api/overrides');
	expect(init.headers).toEqual({ accept: 'application/json', authorization: 'Bearer secret', ...headers });
	expect(init.body).toBe(body);
	expect([init.redirect, init.cache]).toEqual(['error', 'no-store']);
});

const problem = (name: string, status: number) =>
	new Response(JSON.stringify({ type: `urn:pitwall:problem:${name}`, title: 'No', status, detail: 'why' }), {
		status,
		headers: { 'content-type': 'application/problem+json' },
	});

test.each([
	[() => problem('file-changed', 412), 'why', 412, 'file-changed', false],
	[() => problem('admin-token-invalid', 401), 'why', 401, 'admin-token-invalid', true],
	[() => problem('signature-expired', 401), 'why', 401, 'signature-expired', false],
	[() => new Response('<html>', { status: 502 }), 'The edge answered 502', 502, '', false],
])('a refusal says why', async (answer, message, status, name, isTokenRefused) => {
	const refused = await sendCommand('secret', '/api/sources', {}, recordingFetch(answer).fetcher).catch(
		(error: unknown) => error as CommandError,
	);
	expect(refused).toBeInstanceOf(CommandError);
	expect(refused).toMatchObject({ message, status, problem: name, isTokenRefused });
});
