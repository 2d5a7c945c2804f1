import { edgeDocuments } from '$lib/api/edge-documents';
import type { PageLoad } from './$types';

export const load: PageLoad = () => {
	const { status, streams, extractors, activity } = edgeDocuments;
	for (const document of [status, streams, extractors, activity]) void document.ready();
	return { status, streams, extractors, activity };
};
