// Writes the types of the documents that the edge serves, from its OpenAPI document, to src/lib/api/schemas.d.ts.
//
//   node api-types.mjs http://127.0.0.1:8080/api/openapi.json     (a URL or a file)
//   node api-types.mjs --check …                                  fails if the file is not what would be written
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import openapiTS, { astToString } from 'openapi-typescript';

const FILE = new URL('src/lib/api/schemas.d.ts', import.meta.url);
const { values, positionals } = parseArgs({
	options: { check: { type: 'boolean' } },
	allowPositionals: true,
});
const [source = ''] = positionals;
const document = /^https?:/.test(source)
	? await (await fetch(source)).json()
	: JSON.parse(readFileSync(source, 'utf8'));

// The page names paths itself; it needs the types of bodies only.
const types = astToString(await openapiTS({ ...document, paths: {} }));
const text = `// Written by api-types.mjs from the OpenAPI document of the edge. Do not edit.\n${types}`;

if (!values.check) writeFileSync(FILE, text);
else if (readFileSync(FILE, 'utf8') !== text) {
	console.error(`${FILE.pathname} differs from ${source}: run node frontend/api-types.mjs against an edge`);
	process.exit(1);
}
