import { sveltekit } from '@sveltejs/kit/vite';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';

// `npm run dev` talks to a running edge (or to dev/mock.mjs) for everything that is not the page.
const edge = process.env['PITWALL_EDGE'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
	plugins: [tailwindcss(), sveltekit()],
	build: { chunkSizeWarningLimit: 700 },
	server: { proxy: { '/api': edge, '/live': edge, '/calendar.ics': edge } },
	test: {
		include: ['src/**/*.test.ts'],
		environment: './src/lib/testing/client.ts',
		server: { deps: { inline: ['svelte'] } },
	},
	// Left to Node, tests would get Svelte for servers, in which no effect runs.
	...(process.env['VITEST'] && { resolve: { conditions: ['browser'] } }),
});
