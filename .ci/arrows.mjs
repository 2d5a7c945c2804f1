// Dependencies between the workspace's crates, and imports between the modules of each crate, must run one way; this
// check fails when one does not.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { circlesOf } from './module-circles.mjs';

const LIBRARIES = ['pitwall-hls', 'pitwall-upstream-map', 'pitwall-fetch'];
const SERVICES = ['pitwall-proxy', 'pitwall-control-plane', 'pitwall-origin'];

const ALLOWED = new Map([
	...LIBRARIES.map((library) => [library, []]),
	...SERVICES.map((service) => [service, LIBRARIES]),
	// `pitwall bench` uses the virtual players of pitwall-benches.
	['pitwall', [...LIBRARIES, ...SERVICES, 'pitwall-benches']],
	['pitwall-benches', [...LIBRARIES, ...SERVICES]],
]);

const metadata = JSON.parse(
	execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { maxBuffer: 1 << 26 }),
);
const violations = [];
for (const { name, dependencies, manifest_path } of metadata.packages) {
	for (const circle of circlesOf(path.join(path.dirname(manifest_path), 'src'))) {
		violations.push(`${name}: these modules import each other in a circle: ${circle.join(', ')}`);
	}
	const allowed = ALLOWED.get(name);
	if (!allowed) {
		violations.push(`${name} is missing in .ci/arrows.mjs: add the crate and what it may import`);
		continue;
	}
	for (const dependency of dependencies) {
		if (dependency.name.startsWith('pitwall') && !allowed.includes(dependency.name)) {
			violations.push(`${name} must not import ${dependency.name}`);
		}
	}
}
if (violations.length > 0) {
	console.error(violations.join('\n'));
	process.exit(1);
}
console.log(`${metadata.packages.length} crates, all arrows one way`);
