import { edgeDocuments, loadBootstrap } from '$lib/api/edge-documents';
import type { PageLoad } from './$types';

/** Returns the live documents without waiting for them: the page is shown at once and fills as they arrive. */
export const load: PageLoad = ({ params }) => {
	const bootstrapLoaded = loadBootstrap();
	void bootstrapLoaded.then(() => edgeDocuments.streams.ready());
	void edgeDocuments.schedule.ready();
	return { session: params.session ?? null, ...edgeDocuments };
};
