import { resolve } from '$app/paths';
import { redirect } from '@sveltejs/kit';
import { edgeDocuments, loadBootstrap } from '$lib/api/edge-documents';
import { statusAt } from '$lib/schedule/status';
import { serverClock } from '$lib/time/clock';
import { watchPath } from '$lib/wall/watch-url';
import type { PageLoad } from './$types';

/** How long `/` waits for a bootstrap document that is not inlined, before it redirects to the schedule. */
const BOOTSTRAP_TIMEOUT_MS = 1_500;

export const load: PageLoad = async ({ url }) => {
	if (!url.searchParams.has('home')) {
		await Promise.race([
			loadBootstrap(),
			new Promise((resolve) => setTimeout(resolve, BOOTSTRAP_TIMEOUT_MS)),
		]);
		const { session, streams } = edgeDocuments.bootstrap.value ?? { session: null, streams: [] };
		const live = session && statusAt(session, serverClock.now()) === 'live';
		if (live && streams.some(({ health }) => health === 'healthy')) redirect(307, watchPath(session.id));
	}
	redirect(307, resolve('/schedule'));
};
