import type { HlsConfig } from 'hls.js';
import workerPath from 'hls.js/dist/hls.worker.js?url';

/** How hls.js is run here. What it does not name stays at hls.js's defaults. */
export const config: Partial<HlsConfig> = {
	// Our own file: a worker from a blob would need `worker-src blob:` in the policy.
	enableWorker: true,
	workerPath,
	liveSyncDurationCount: 3,
	liveMaxLatencyDurationCount: 10,
	liveMaxUnchangedPlaylistRefresh: 4,
	backBufferLength: 30,
	capLevelToPlayerSize: true,
	startFragPrefetch: true,
	abrEwmaDefaultEstimate: 5e6,
	// Whether it ran dry: what the edge ranks sources by. In headers, so that links stay the same.
	cmcd: { useHeaders: true, includeKeys: ['bs', 'ot', 'sid'] },
	// Turned on by the player once a playlist shows parts.
	lowLatencyMode: false,
	playlistLoadPolicy: {
		default: {
			maxTimeToFirstByteMs: 10_000,
			maxLoadTimeMs: 20_000,
			timeoutRetry: { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 },
			errorRetry: { maxNumRetry: 8, retryDelayMs: 500, maxRetryDelayMs: 4_000 },
		},
	},
};
