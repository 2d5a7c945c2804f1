import type { SourceSettings } from './answers';

export const SOURCE_KINDS = ['static', 'm3u', 'yt-dlp', 'streamlink', 'browser', 'recipe'] as const;

/** The fields of the form. A text that is empty stands for a key that is not set. */
export interface SourceForm {
	name: string;
	kind: string;
	feed: string;
	url: string;
	label: string;
	note: string;
	every: string;
	priority: string;
	/** Private ranges, separated by commas or white space. */
	allowPrivate: string;
	headers: HeaderField[];
}

export interface HeaderField {
	name: string;
	value: string;
}

/** What a source file is to be: see `SourceDraft` in the OpenAPI document. */
export interface SourceDraft {
	text?: string;
	patch?: SourceSettings;
}

const TEXT_FIELDS = ['name', 'kind', 'feed', 'url', 'label', 'note', 'every'] as const;

export const emptyForm = (): SourceForm => formOfSettings({ kind: 'static' });

export function formOfSettings(settings: SourceSettings): SourceForm {
	const text = (key: string) => {
		const value = settings[key];
		return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
	};
	const headers = settings['headers'];
	const ranges = settings['allow_private'];
	return {
		name: text('name'),
		kind: text('kind'),
		feed: text('feed'),
		url: text('url'),
		label: text('label'),
		note: text('note'),
		every: text('every'),
		priority: text('priority'),
		allowPrivate: Array.isArray(ranges) ? ranges.join(', ') : '',
		headers:
			headers !== null && typeof headers === 'object'
				? Object.entries(headers).map(([name, value]) => ({ name, value: String(value) }))
				: [],
	};
}

/** The merge patch (RFC 7396) that makes the settings of `before` those of `after`, and leaves every other key. */
export function patchBetween(before: SourceForm, after: SourceForm): SourceSettings {
	const patch: SourceSettings = {};
	for (const field of TEXT_FIELDS) {
		const value = after[field].trim();
		if (value !== before[field].trim()) patch[field] = value || null;
	}
	if (after.priority.trim() !== before.priority.trim())
		patch['priority'] = numberOrText(after.priority.trim());
	const ranges = splitList(after.allowPrivate);
	if (ranges.join() !== splitList(before.allowPrivate).join())
		patch['allow_private'] = ranges.length > 0 ? ranges : null;
	const headers = headerPatch(before.headers, after.headers);
	if (Object.keys(headers).length > 0) patch['headers'] = headers;
	return patch;
}

/** The draft of a new file: its name and kind come first in it. */
export function newFileDraft(form: SourceForm): SourceDraft {
	const { name, kind } = form;
	const text = `name = ${JSON.stringify(name.trim())}\nkind = ${JSON.stringify(kind)}\n`;
	return { text, patch: patchBetween({ ...emptyForm(), name, kind }, form) };
}

function headerPatch(before: HeaderField[], after: HeaderField[]): SourceSettings {
	const patch: SourceSettings = {};
	const kept = new Map(
		after.filter(({ name }) => name.trim()).map(({ name, value }) => [name.trim(), value]),
	);
	for (const { name } of before) if (!kept.has(name)) patch[name] = null;
	const known = new Map(before.map(({ name, value }) => [name, value]));
	for (const [name, value] of kept) if (known.get(name) !== value) patch[name] = value;
	return patch;
}

/** What is no whole number is sent as it is: the check then says what is wrong with it. */
function numberOrText(text: string): number | string | null {
	if (!text) return null;
	return /^-?\d{1,9}$/.test(text) ? Number(text) : text;
}

const splitList = (text: string) => text.split(/[\s,]+/).filter(Boolean);

/** The line that an error of the control plane names: `…/club.toml:5: url: …`. */
export function errorLine(message: string): number | null {
	const found = /\.toml:(\d+): /.exec(message)?.[1];
	return found ? Number(found) : null;
}
