/** Types of the JSON documents that the edge serves. Timestamps are RFC 3339 in UTC; unknown values are null. */

/** `fp1`, `qualifying`, `race`, …; events that come from a calendar feed have other codes. */
export type SessionCode = string;
export type SessionStatus = 'upcoming' | 'live' | 'past' | 'cancelled';

export interface Session {
	id: string;
	code: SessionCode;
	name: string;
	meeting: string;
	start: string | null;
	/** The calendar day at the circuit (`YYYY-MM-DD`), known even when the time is not. */
	date: string;
	/** The last day of a session of several whole days; `date` is the first. */
	last_date?: string | null;
	time_known: boolean;
	end: string | null;
	end_estimated: boolean;
	live_from: string | null;
	live_until: string | null;
	status: SessionStatus;
	/** Whether the session is live past its end, because there is still something to watch. */
	overrun?: boolean;
	source: string;
	revision: number;
	revised_at?: string | null;
	/** What other schedule sources claim, where they differ from this session. */
	disagreement?: Claim[];
}

/** What one schedule source claims about a session. */
export interface Claim {
	source: string;
	start: string | null;
	date: string;
	cancelled: boolean;
}

export interface Meeting {
	id: string;
	name: string;
	round: number | null;
	circuit: { id: string; name: string; locality: string | null; country: string | null };
	utc_offset?: string | null;
	/** Ids that the meeting had under another name or at another circuit. */
	former_ids?: string[];
	/** The meeting is cancelled, and the meeting with this id replaces it. */
	moved_to?: string | null;
	sessions: Session[];
}

export interface Schedule {
	season: number | string | null;
	fetched_at: string | null;
	stale_since: string | null;
	source: string | null;
	meetings: Meeting[];
}

export type Health = 'healthy' | 'degraded' | 'down';

export interface StreamSource {
	name: string;
	label: string | null;
	note: string | null;
	kind: string;
	active: boolean;
	health: Health;
	score: number;
	latency_ms: number | null;
	expires_at: string | null;
	error: string | null;
}

export interface Rendition {
	id: string;
	role: 'video' | 'audio' | 'subtitles';
	label: string;
	width: number | null;
	height: number | null;
	bandwidth: number | null;
	frame_rate: number | null;
	codecs: string | null;
	language: string | null;
	name: string | null;
	container: string | null;
}

export interface Stream {
	id: string;
	feed: string;
	playlist: string;
	health: Health;
	/** Since when none of the stream's sources works; only while `health` is `down`. */
	down_since?: string | null;
	/** Why none of the stream's sources works, in words; only while `health` is `down`. */
	reason?: string | null;
	sources: StreamSource[];
	renditions: Rendition[];
}

export interface Streams {
	/** The version of the map in which a stream or the session last changed. */
	version: number;
	streams: Stream[];
}

export interface Bootstrap extends Streams {
	/** The live session, else the next upcoming one. */
	session: Session | null;
}

export interface Extractor {
	name: string;
	kind: string;
	state: 'ok' | 'failing' | 'never';
	every_seconds: number | null;
	candidates: number | null;
	error: { step: string; message: string } | null;
}

export interface Extractors {
	extractors: Extractor[];
}

/** What changes although nothing happens; made every half a minute. */
export interface Activity {
	generated_at: string;
	/** By stream id. A stream that has not passed a check yet is missing. */
	streams: Record<string, { checked_at: string }>;
	/** By name of the source. */
	extractors: Record<string, ExtractorActivity>;
}

export interface ExtractorActivity {
	last_run_at: string | null;
	last_success_at: string | null;
	next_run_at: string | null;
	duration_ms: number | null;
}

export interface Status {
	started_at: string | null;
	schedule: {
		source: string | null;
		fetched_at: string | null;
		stale_since: string | null;
		error: string | null;
		/** Number of upcoming or live sessions on which the schedule sources disagree. */
		disagreements?: number;
	};
	streams: { total: number; healthy: number };
	extractors: { total: number; failing: number };
}

export interface Problem {
	type: string;
	title: string;
	status: number;
	detail?: string;
}
