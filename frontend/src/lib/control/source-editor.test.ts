import { expect, test } from 'vitest';
import type { SourceFile } from './answers';
import { CommandError, type CommandOptions } from './command';
import { SourceEditor, type SendCommand } from './source-editor.svelte';

const STORED: SourceFile = {
	file: 'club',
	location: '/etc/sources/club.toml',
	version: 'v1',
	text: 'name = "club" # ours\nkind = "static"\nfeed = "A"\n',
	settings: { name: 'club', kind: 'static', feed: 'A' },
};

function scripted(answers: Record<string, unknown>) {
	const sent: [string, CommandOptions | undefined][] = [];
	const send = ((path: string, options?: CommandOptions) => {
		sent.push([`${options?.method ?? 'GET'} ${path}`, options]);
		const answer = answers[`${options?.method ?? 'GET'} ${path}`];
		return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
	}) as SendCommand;
	return { sent, send };
}

test('a stored file is changed key by key, in the version that was read', async () => {
	const { sent, send } = scripted({ 'PUT /api/sources/club': { ...STORED, version: 'v2' } });
	const editor = new SourceEditor(send, STORED);
	editor.form.feed = 'B';
	await editor.save();
	expect(sent[0]).toEqual([
		'PUT /api/sources/club',
		{ method: 'PUT', body: { patch: { feed: 'B' } }, version: 'v1' },
	]);
	editor.form.feed = 'C';
	await editor.save();
	expect(sent[1]?.[1]?.version).toBe('v2');
});

test('a new file must not replace another one', async () => {
	const { sent, send } = scripted({ 'PUT /api/sources/pit': { ...STORED, file: 'pit' } });
	const editor = new SourceEditor(send, null);
	editor.form.name = 'pit';
	await editor.save();
	expect(sent[0]?.[1]?.version).toBe(null);
	expect(editor.isNew).toBe(false);
});

test('only what was tried counts as tried', async () => {
	const result = { duration_ms: 1, candidates: [], failures: [], unusable: [], steps: [] };
	const { send } = scripted({
		'POST /api/sources/club/trial': { trial: 't1' },
		'GET /api/trials/t1': { source: 'club', started_at: '', result },
	});
	const editor = new SourceEditor(send, STORED);
	expect(editor.isTried).toBe(false);
	await editor.try(new AbortController().signal);
	expect([editor.isTried, editor.result]).toEqual([true, result]);
	editor.form.feed = 'B';
	expect(editor.isTried).toBe(false);
	editor.form.feed = 'A';
	expect(editor.isTried).toBe(true);
});

test('form and text show the same file', async () => {
	const text = STORED.text.replace('"A"', '"B"');
	const checked = {
		name: 'club',
		kind: 'static',
		text,
		settings: { ...STORED.settings, feed: 'B' },
		warnings: ['w'],
	};
	const { sent, send } = scripted({ 'POST /api/sources/club/check': checked });
	const editor = new SourceEditor(send, STORED);
	editor.form.feed = 'B';
	await editor.editText();
	expect([editor.text, editor.warnings]).toEqual([text, ['w']]);
	await editor.editForm();
	expect(sent[1]?.[1]?.body).toEqual({ text });
	expect([editor.text, editor.form.feed]).toEqual([null, 'B']);
	editor.form.feed = 'C';
	expect(editor.draft).toEqual({ text, patch: { feed: 'C' } });
});

test('a file that is no TOML is edited as text, and a refusal changes nothing', async () => {
	const refusal = new CommandError('somebody else', 412, 'file-changed');
	const { send } = scripted({ 'PUT /api/sources/club': refusal });
	const editor = new SourceEditor(send, { ...STORED, settings: null });
	expect(editor.text).toBe(STORED.text);
	editor.text = 'name = "club"';
	await expect(editor.save()).rejects.toBe(refusal);
	expect(editor.text).toBe('name = "club"');
});
