import type { HlsConfig } from 'hls.js';

/** The configuration of hls.js; options that are not named here keep hls.js's defaults. */
export const hlsConfig: Partial<HlsConfig> = {
	enableWorker: true,
	liveSyncDurationCount: 3,
	// hls.js would take a viewer who went back in time to the live edge; the clock of the wall does that after outages.
	liveMaxLatencyDurationCount: Infinity,
	liveMaxUnchangedPlaylistRefresh: 4,
	backBufferLength: 30,
	capLevelToPlayerSize: true,
	startFragPrefetch: true,
	abrEwmaDefaultEstimate: 5e6,
	// CMCD (CTA-5004): buffer starvation, object type and session id; the edge ranks sources by starvation. The data
	// is sent in header fields, because query parameters would give each viewer its own URL and cache key.
	cmcd: { useHeaders: true, includeKeys: ['bs', 'ot', 'sid'] },
	// The player turns low-latency mode on once a media playlist contains partial segments.
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
