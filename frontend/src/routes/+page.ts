import { redirect } from '@sveltejs/kit';
import { edge, start } from '$lib/api/edge';
import { statusAt } from '$lib/schedule/status';
import { serverClock } from '$lib/time/clock';
import { watchPath } from '$lib/wall/address';
import type { PageLoad } from './$types';

/** Without an inlined bootstrap the answer is awaited, but not for long: the Schedule finds out by itself. */
const PATIENCE = 1_500;

export const load: PageLoad = async ({ url }) => {
	if (!url.searchParams.has('home')) {
		await Promise.race([start(), new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
		const { session, streams } = edge.bootstrap.value ?? { session: null, streams: [] };
		const live = session !== null && statusAt(session, serverClock.now()) === 'live';
		if (live && streams.some(({ health }) => health === 'healthy')) redirect(307, watchPath(session.id));
	}
	redirect(307, '/schedule');
};
