// Every relative link and image in our Markdown files leads to a file of the repository, and every
// anchor to a heading of it; this fails when one does not.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

process.chdir(path.join(import.meta.dirname, '..'));

// A file that Git ignores is not in anybody else's clone, so a link to it counts as broken.
const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
	encoding: 'utf8',
	maxBuffer: 1 << 26,
});
const files = new Set(listed.split('\0').filter((file) => file && existsSync(file)));
const folders = new Set(['.']);
for (const file of files) {
	for (let folder = path.dirname(file); !folders.has(folder); folder = path.dirname(folder)) folders.add(folder);
}
const pages = [...files].filter((file) => file.endsWith('.md') && !/(^|\/)(node_modules|target)\//.test(file)).sort();

/** The same text, as long and with the same lines, with everything that `pattern` matches made blank. */
function blank(text, pattern) {
	return text.replace(pattern, (match) => match.replace(/[^\n]/g, ' '));
}

const FENCED_CODE = /^( {0,3})(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^ {0,3}\2[`~]*[ \t]*$|$(?![\s\S]))/gm;
const COMMENT = /<!--[\s\S]*?-->/g;
// A code span ends with as many backticks as it begins with, in the same paragraph.
const CODE_SPAN = /(?<!`)(`+)(?!`)(?:(?!\n[ \t]*\n)[\s\S])*?(?<!`)\1(?!`)/g;

function withoutCode(text) {
	return blank(blank(blank(text, FENCED_CODE), COMMENT), CODE_SPAN);
}

const DESTINATION = String.raw`(<[^<>\n]*>|[^\s()<>]+(?:\([^\s()]*\)[^\s()]*)*)`;
const LINKS = [
	// [text](destination "title") and ![text](destination)
	new RegExp(String.raw`\]\(\s*${DESTINATION}(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)`, 'g'),
	// [name]: destination
	new RegExp(String.raw`^ {0,3}\[[^\]\n]+\]:[ \t]*${DESTINATION}`, 'gm'),
	// <a href="destination">, <img src="destination">
	/<(?:a|img|source)\b[^>]*?\s(?:href|src|srcset)=["']([^"'\s]+)["']/gi,
];

/** Destinations with the number of their line. */
function findLinks(text) {
	const prose = withoutCode(text);
	const lineAt = (offset) => prose.slice(0, offset).split('\n').length;
	const found = LINKS.flatMap((pattern) =>
		[...prose.matchAll(pattern)].map((match) => ({
			destination: match[1].replace(/^<|>$/g, ''),
			line: lineAt(match.index + match[0].indexOf(match[1])),
		})),
	);
	return found.sort((a, b) => a.line - b.line);
}

/** As GitHub makes an anchor of a heading. */
function slugOf(heading) {
	const text = heading
		.replace(/!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, '$1')
		.replace(/<[^>]*>/g, '')
		.trim()
		.toLowerCase();
	return text.replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replace(/ /g, '-');
}

const anchorsByPage = new Map();

function anchorsOf(page) {
	if (anchorsByPage.has(page)) return anchorsByPage.get(page);
	const text = blank(blank(readFileSync(page, 'utf8'), FENCED_CODE), COMMENT);
	const anchors = new Set();
	const uses = new Map();
	for (const [, , hashed, underlined] of text.matchAll(
		/^ {0,3}(?:(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*|(\S[^\n]*)\n {0,3}(?:=+|-+)[ \t]*)$/gm,
	)) {
		const slug = slugOf((hashed ?? underlined).replace(/[`*]/g, ''));
		const before = uses.get(slug) ?? 0;
		uses.set(slug, before + 1);
		anchors.add(before === 0 ? slug : `${slug}-${before}`);
	}
	for (const [, name] of withoutCode(text).matchAll(/<[a-z][^>]*?\s(?:id|name)=["']([^"']+)["']/gi)) anchors.add(name);
	anchorsByPage.set(page, anchors);
	return anchors;
}

/** What is wrong with a link of this page; nothing where it is fine, or leads out of the repository. */
function findFault(page, destination) {
	if (/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(destination)) return undefined;
	let [, file, anchor] = /^([^#]*)(?:#(.*))?$/s.exec(destination);
	try {
		[file, anchor] = [decodeURIComponent(file.replace(/\?.*$/, '')), anchor && decodeURIComponent(anchor)];
	} catch {
		return 'not percent-encoded';
	}
	let target = page;
	if (file) {
		target = path.normalize(file.startsWith('/') ? file.slice(1) : path.join(path.dirname(page), file));
		target = target.replace(/(?<=.)\/$/, '');
	}
	if (!files.has(target) && !folders.has(target)) return 'no such file in the repository';
	if (!anchor) return undefined;
	if (target.endsWith('.md')) return anchorsOf(target).has(anchor) ? undefined : `no such heading in ${target}`;
	const lines = /^L(\d+)(?:-L(\d+))?$/.exec(anchor);
	const last = Number(lines?.[2] ?? lines?.[1]);
	const exists = files.has(target) && last > 0 && last <= readFileSync(target, 'utf8').split('\n').length;
	return exists ? undefined : `no such place in ${target}`;
}

let checked = 0;
const broken = [];
for (const page of pages) {
	for (const { destination, line } of findLinks(readFileSync(page, 'utf8'))) {
		checked += 1;
		const fault = findFault(page, destination);
		if (fault) broken.push(`${page}:${line}: ${destination}: ${fault}`);
	}
}
if (broken.length > 0) {
	console.error(broken.join('\n'));
	process.exit(1);
}
console.log(`${checked} links in ${pages.length} Markdown files, none broken`);
