import { sveltekit } from '@sveltejs/kit/vite';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';
import { hlsFromSource } from './hls-source.js';
import manifest from './package.json' with { type: 'json' };

// `npm run dev` proxies everything except the page to a running edge (or to dev/mock.mjs).
const edge = process.env['PITWALL_EDGE'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
	// Unit tests take hls.js as it is: in Node its sources would believe that they run in a worker.
	plugins: [
		tailwindcss(),
		sveltekit(),
		process.env['VITEST'] ? null : hlsFromSource(manifest.dependencies['hls.js']),
	],
	build: { chunkSizeWarningLimit: 700 },
	server: { proxy: { '/api': edge, '/live': edge, '/calendar.ics': edge } },
	test: {
		include: ['src/**/*.test.ts'],
		environment: './src/lib/testing/client-environment.ts',
		alias: { '$app/paths': new URL('src/lib/testing/paths.ts', import.meta.url).pathname },
		server: { deps: { inline: ['svelte'] } },
	},
	// Without the condition `browser`, tests would import Svelte's server runtime, in which no effect runs.
	...(process.env['VITEST'] && { resolve: { conditions: ['browser'] } }),
});
