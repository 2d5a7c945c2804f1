// Arrows between our crates run one way; this fails when one does not.
import { execFileSync } from 'node:child_process';

const LEAVES = ['pitwall-hls', 'pitwall-upstream-map', 'pitwall-fetch'];
const ROOMS = ['pitwall-proxy', 'pitwall-control-plane', 'pitwall-origin'];

const ALLOWED = new Map([
	...LEAVES.map((leaf) => [leaf, []]),
	...ROOMS.map((room) => [room, LEAVES]),
	// Its virtual players, which `pitwall bench` sends.
	['pitwall', [...LEAVES, ...ROOMS, 'pitwall-benches']],
	['pitwall-benches', [...LEAVES, ...ROOMS]],
]);

const metadata = JSON.parse(
	execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { maxBuffer: 1 << 26 }),
);
const wrong = [];
for (const { name, dependencies } of metadata.packages) {
	const allowed = ALLOWED.get(name);
	if (!allowed) {
		wrong.push(`${name} has no place in .ci/arrows.mjs`);
		continue;
	}
	for (const dependency of dependencies) {
		if (dependency.name.startsWith('pitwall') && !allowed.includes(dependency.name)) {
			wrong.push(`${name} must not import ${dependency.name}`);
		}
	}
}
if (wrong.length > 0) {
	console.error(wrong.join('\n'));
	process.exit(1);
}
console.log(`${metadata.packages.length} crates, all arrows one way`);
