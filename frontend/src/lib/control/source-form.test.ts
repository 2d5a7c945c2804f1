import { expect, test } from 'vitest';
import {
	emptyForm,
	errorLine,
	formOfSettings,
	newFileDraft,
	patchBetween,
	type SourceForm,
} from './source-form';

const club = {
	name: 'club',
	kind: 'm3u',
	url: 'https://club.example/list.m3u?password=masked-0123456789ab',
	priority: 10,
	allow_private: ['10.0.0.0/8', '192.168.0.0/16'],
	headers: { Authorization: 'masked-ba9876543210', Referer: 'https://club.example/' },
	only: { group: 'F1' },
};

test('an unchanged form changes nothing, and keys that it does not have stay', () => {
	expect(patchBetween(formOfSettings(club), formOfSettings(club))).toEqual({});
});

test.each<[string, (form: SourceForm) => void, Record<string, unknown>]>([
	['a text', (form) => (form.label = ' Club '), { label: 'Club' }],
	['a text that is emptied', (form) => (form.url = ''), { url: null }],
	['a number', (form) => (form.priority = '-5'), { priority: -5 }],
	['no number', (form) => (form.priority = 'high'), { priority: 'high' }],
	['a number that is emptied', (form) => (form.priority = ' '), { priority: null }],
	['a range less', (form) => (form.allowPrivate = '10.0.0.0/8'), { allow_private: ['10.0.0.0/8'] }],
	['ranges written another way', (form) => (form.allowPrivate = '10.0.0.0/8\n192.168.0.0/16'), {}],
	['no range', (form) => (form.allowPrivate = ''), { allow_private: null }],
	['a header', (form) => Object.assign(form.headers[1] ?? {}, { value: 'x' }), { headers: { Referer: 'x' } }],
	['a header less', (form) => form.headers.splice(1), { headers: { Referer: null } }],
	[
		'a header more',
		(form) => form.headers.push({ name: ' Origin ', value: 'y' }),
		{ headers: { Origin: 'y' } },
	],
	['a header without a name', (form) => form.headers.push({ name: ' ', value: 'y' }), {}],
	[
		'a header of another name',
		(form) => Object.assign(form.headers[1] ?? {}, { name: 'R' }),
		{ headers: { Referer: null, R: 'https://club.example/' } },
	],
])('%s', (_, change, patch) => {
	const form = formOfSettings(club);
	change(form);
	expect(patchBetween(formOfSettings(club), form)).toEqual(patch);
});

test('a new file begins with its name and kind', () => {
	const form = {
		...emptyForm(),
		name: 'pit',
		feed: 'Pit lane',
		url: 'http://a/',
		allowPrivate: '127.0.0.1/32',
	};
	expect(newFileDraft(form)).toEqual({
		text: 'name = "pit"\nkind = "static"\n',
		patch: { feed: 'Pit lane', url: 'http://a/', allow_private: ['127.0.0.1/32'] },
	});
});

test.each([
	['/etc/pitwall/sources/club.toml:5: url: not an absolute URL', 5],
	['/etc/pitwall/sources/club.toml: headers.A: a mask of no secret', null],
	['The edge does not answer', null],
])('the line of %s', (message, line) => {
	expect(errorLine(message)).toBe(line);
});
