import { base } from '$app/paths';

const RELOAD_PATH = '/api/reload';

/** Whether this Pitwall reads its configuration again on command: its OpenAPI document then describes that. */
export async function hasReload(fetcher: typeof fetch = fetch): Promise<boolean> {
	try {
		const response = await fetcher(`${base}/api/openapi.json`);
		const document = (await response.json()) as { paths?: Record<string, { post?: unknown }> };
		return document.paths?.[RELOAD_PATH]?.post !== undefined;
	} catch {
		return false;
	}
}
