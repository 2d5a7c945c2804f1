// Modules of a crate whose imports run in a circle, of its Rust sources without tests.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

function rustFiles(folder) {
	return readdirSync(folder, { recursive: true })
		.filter((file) => file.endsWith('.rs'))
		.filter((file) => !/(^|\/)(tests|samples)(\/|\.rs$)/.test(file));
}

/** `engine/jobs.rs` is the module `engine::jobs`, and `lib.rs` or `main.rs` the crate itself. */
function moduleOf(file) {
	const parts = file.slice(0, -'.rs'.length).split('/');
	return ['lib', 'main', 'mod'].includes(parts.at(-1)) ? parts.slice(0, -1).join('::') : parts.join('::');
}

/** The source without comments, strings and inline test modules. */
function codeOf(text) {
	return text
		.replaceAll(/\/\/[^\n]*/g, '')
		.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '""')
		.replaceAll(/#\[cfg\(test\)\][^\n]*\n(?:pub(?:\([^)]*\))? )?mod \w+ \{.*?\n\}\n/gs, '');
}

/** The paths that a `use` declaration imports: `a::{b, c::d}` are `a::b` and `a::c::d`. */
function importedPaths(tree, prefix = []) {
	const text = tree.trim();
	const group = /^((?:\w+::)*)\{(.*)\}$/s.exec(text);
	if (!group) return [[...prefix, ...text.replace(/\s+as\s+\w+/, '').split('::')].map((part) => part.trim())];
	const inner = [...prefix, ...group[1].split('::').filter(Boolean)];
	const members = [];
	let [depth, start] = [0, 0];
	for (let at = 0; at <= group[2].length; at++) {
		const sign = group[2][at];
		if (sign === '{') depth++;
		if (sign === '}') depth--;
		if (at === group[2].length || (sign === ',' && depth === 0)) {
			if (group[2].slice(start, at).trim()) members.push(group[2].slice(start, at));
			start = at + 1;
		}
	}
	return members.flatMap((member) => importedPaths(member, inner));
}

/** The modules that each module of the crate at `folder` imports. */
function importsOf(folder) {
	const files = new Map(rustFiles(folder).map((file) => [moduleOf(file), file]));
	/** The longest module that `parts` begins with. */
	const resolve = (parts) => {
		let length = 0;
		while (length < parts.length && files.has(parts.slice(0, length + 1).join('::'))) length++;
		return parts.slice(0, length).join('::');
	};
	const imports = new Map();
	for (const [module, file] of files) {
		const code = codeOf(readFileSync(path.join(folder, file), 'utf8'));
		const declared = [...code.matchAll(/\buse\s+([^;]+);/g)].flatMap(([, tree]) => importedPaths(tree));
		const inline = [...code.matchAll(/\b(?:crate|super|self)(?:::\w+)+/g)].map(([used]) => used.split('::'));
		const here = module === '' ? [] : module.split('::');
		const targets = new Set();
		for (const [first, ...rest] of [...declared, ...inline]) {
			let from;
			let parts = rest;
			if (first === 'crate') from = [];
			else if (first === 'self') from = here;
			else if (first === 'super') {
				from = here.slice(0, -1);
				while (parts[0] === 'super') [from, parts] = [from.slice(0, -1), parts.slice(1)];
			} else if (files.has([...here, first].join('::'))) [from, parts] = [here, [first, ...rest]];
			else continue;
			const target = resolve([...from, ...parts]);
			if (target !== module && target !== '' && module !== '') targets.add(target);
		}
		imports.set(module, targets);
	}
	return imports;
}

/** The strongly connected components of more than one node (Tarjan's algorithm), each sorted. */
function components(edges) {
	const [indices, lows, stack, found] = [new Map(), new Map(), [], []];
	const visit = (node) => {
		indices.set(node, indices.size);
		lows.set(node, indices.get(node));
		stack.push(node);
		for (const next of edges.get(node) ?? []) {
			if (!indices.has(next)) {
				visit(next);
				lows.set(node, Math.min(lows.get(node), lows.get(next)));
			} else if (stack.includes(next)) lows.set(node, Math.min(lows.get(node), indices.get(next)));
		}
		if (lows.get(node) !== indices.get(node)) return;
		const component = stack.splice(stack.indexOf(node)).sort();
		if (component.length > 1) found.push(component);
	};
	for (const node of edges.keys()) if (!indices.has(node)) visit(node);
	return found;
}

/** A parent and its own children may know each other. */
function isFamily(modules) {
	const parent = modules.reduce((shortest, module) => (module.length < shortest.length ? module : shortest));
	return modules.every((module) => module === parent || module.startsWith(`${parent}::`));
}

/** Circles of top-level modules, and circles of files beyond a parent and its own children. */
export function circlesOf(folder) {
	const imports = importsOf(folder);
	const top = (module) => module.split('::')[0];
	const between = new Map();
	for (const [module, targets] of imports) {
		const known = between.get(top(module)) ?? new Set();
		for (const target of targets) if (top(target) !== top(module)) known.add(top(target));
		between.set(top(module), known);
	}
	return [...components(between), ...components(imports).filter((modules) => !isFamily(modules))];
}
