import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'svelte/compiler';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '../..');
/** Files whose texts are none: catalogues, tests, and what is only for tests. */
const EXEMPT = /\.test\.ts$|fakes?\b|fixtures|testing\/|\/(en|de)\.ts$|\.d\.ts$/;
/** What a viewer reads or hears of an element. */
const SPOKEN = new Set([
	'aria-label',
	'aria-valuetext',
	'aria-description',
	'title',
	'placeholder',
	'alt',
	'label',
]);
/** Names that are the same in every language. */
const NAMES = /Pitwall|UTC|hls\.js|\.toml|\b(ms|k|K|M|I|P|F|L)\b/g;
/** A text begins with a capital letter, or has several words of which one is no class of Tailwind. */
const SENTENCE = /^[A-Z“][a-z]+( [\w“]|$)|^[a-z]+ [a-z]+ [a-z]+/;
/** Strings that look like texts and are none: names of keys, of errors, and what is written into files. */
const NO_TEXT =
	/^(Arrow\w*|English|Deutsch|Escape|Home|End|Enter|Tab|Shift\+.*|Digit\d|\w+Error|Bearer|BEGIN:\w+|END:\w+)$/;

interface Finding {
	file: string;
	text: string;
}

const hasWords = (text: string) => /\p{L}{2,}/u.test(text.replace(NAMES, ''));

/** Literal texts of a component: between its tags, and in attributes that are read out. */
function textsOfComponent(source: string): string[] {
	const found: string[] = [];
	const visit = (node: unknown, attribute: string | null): void => {
		if (Array.isArray(node)) return node.forEach((child) => visit(child, attribute));
		if (typeof node !== 'object' || node === null) return;
		const { type, name, data, value } = node as Record<string, unknown>;
		if (type === 'Attribute') attribute = String(name);
		const isSpoken = attribute === null || SPOKEN.has(attribute);
		if (type === 'Text' && isSpoken && hasWords(String(data))) found.push(String(data).trim());
		if (type === 'Literal' && typeof value === 'string' && attribute !== 'class' && isText(value))
			found.push(value);
		for (const child of Object.values(node)) visit(child, attribute);
	};
	visit(parse(source, { modern: true }).fragment, null);
	return found;
}

/** Literal texts of a script, without what developers read: thrown errors that name a mistake in the code. */
function textsOfScript(source: string): string[] {
	const found: string[] = [];
	const visit = (node: ts.Node): void => {
		if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node)) return;
		if (ts.isStringLiteralLike(node) && isText(node.text)) found.push(node.text);
		if (ts.isTemplateExpression(node)) {
			const texts = [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)];
			if (texts.some((text) => isText(text.trim()) || /^[a-z]+ [a-z]+ /.test(text.trim())))
				found.push(node.getText());
		}
		ts.forEachChild(node, visit);
	};
	visit(ts.createSourceFile('script.ts', source, ts.ScriptTarget.Latest, true));
	return found;
}

function isText(value: string): boolean {
	const isClasses = /(^|\s)[\w[\]./:-]*[-:[][\w[\]./%:-]*(\s|$)/.test(value) && !/[.,;?!]( |$)/.test(value);
	return SENTENCE.test(value) && !NO_TEXT.test(value) && !isClasses;
}

const SCRIPTS = /<script[^>]*>([\s\S]*?)<\/script>/g;

test.each([
	['<p>Watch now</p>', ['Watch now']],
	['<p>{t("watchNow")} · Pitwall</p>', []],
	['<button aria-label="Close" class="Close it">×</button>', ['Close']],
	['<p>{open ? "Close" : t("open")}</p>', ['Close']],
])('in %s it finds %j', (source, expected) => {
	expect(textsOfComponent(source)).toEqual(expected);
});

test('every text of the page is in the catalogue', () => {
	const findings: Finding[] = [];
	for (const file of readdirSync(ROOT, { recursive: true, encoding: 'utf8' })) {
		if (!/\.(svelte|ts)$/.test(file) || EXEMPT.test(file)) continue;
		const source = readFileSync(path.join(ROOT, file), 'utf8');
		const scripts = file.endsWith('.svelte')
			? [...source.matchAll(SCRIPTS)].map(([, script = '']) => script)
			: [source];
		const texts = [
			...(file.endsWith('.svelte') ? textsOfComponent(source) : []),
			...scripts.flatMap(textsOfScript),
		];
		findings.push(...texts.map((text) => ({ file, text })));
	}
	expect(findings).toEqual([]);
});
