/** Types of the answers to commands, as `/api/openapi.json` describes them. */

export interface ViewerCounts {
	viewers: number;
	streams: StreamViewerCount[];
}

export interface StreamViewerCount {
	stream: string;
	feed: string;
	viewers: number;
	/** Null while no source plays. */
	source: string | null;
	pinned: boolean;
	playing_seconds: number | null;
}

export interface SwitchResult {
	to: string;
	pinned: boolean;
	/** `own-edge`: other edges follow when the store can be reached again. */
	reach: 'all-edges' | 'own-edge';
}

export interface Explanation {
	summary: string;
	upstreams: { source: string; label: string | null; active: boolean; reason: string }[];
}

export interface TracedStep {
	track: { path: number[]; name: string };
	step: string;
	took_ms: number;
	status?: number;
	matched?: number;
	yielded?: string;
	error?: string;
}

export interface StepFailure {
	step: string;
	message: string;
}

export interface RunTrace {
	ended_at: string;
	duration_ms: number;
	candidates: number;
	dropped: number;
	failures: StepFailure[];
	steps: TracedStep[];
	checks: { feed: string; refused: string | null }[];
}

export interface SourceList {
	folder: string | null;
	editable: boolean;
	sources: ListedSource[];
}

export interface ListedSource {
	name: string;
	kind: string | null;
	location: string;
	/** Null for a source that is not in a file of its own. */
	file: string | null;
	error: string | null;
}

/** The keys of a source, as JSON. */
export type SourceSettings = Record<string, unknown>;

export interface SourceFile {
	file: string;
	location: string;
	version: string;
	text: string;
	settings: SourceSettings | null;
}

export interface CheckedSource {
	name: string;
	kind: string;
	text: string;
	settings: SourceSettings;
	warnings: string[];
}

export interface Trial {
	source: string;
	started_at: string;
	result: TrialResult | null;
}

export interface TrialResult {
	duration_ms: number;
	candidates: TriedCandidate[];
	failures: StepFailure[];
	unusable: StepFailure[];
	steps: TracedStep[];
}

export interface TriedCandidate {
	feed: string;
	playlist: string;
	expires_at: string | null;
	/** Null for a candidate that was not checked. */
	plays: boolean | null;
	found: string | null;
}

export interface OverrideFile {
	location: string;
	editable: boolean;
	version: string | null;
	text: string;
	overrides: number;
	error: string | null;
}

export interface WebhookTest {
	webhook: string;
	delivered: boolean;
	answer: string;
	duration_ms: number;
}
