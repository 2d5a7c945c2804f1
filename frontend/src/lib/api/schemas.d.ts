// Written by api-types.mjs from the OpenAPI document of the edge. Do not edit.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description `GET /api/activity`: when streams were checked and sources asked, as of `generated_at`. It is
         *     made anew every half a minute.
         */
        Activity: {
            /** @description By name of the source. */
            extractors: {
                [key: string]: components["schemas"]["ExtractorActivity"];
            };
            /** Format: date-time */
            generated_at: string;
            streams: {
                [key: string]: components["schemas"]["StreamActivity"];
            };
        };
        /** @description `GET /api/bootstrap`: everything that the page needs to start playback. */
        Bootstrap: {
            session?: components["schemas"]["Session"] | null;
            streams: components["schemas"]["PublicStream"][];
            /**
             * Format: int64
             * @description The version of the map in which the session or a stream last changed: Unix milliseconds.
             */
            version: number;
        };
        /** @enum {string} */
        BreakerState: "closed" | "open" | "half-open";
        /** @description The check of one candidate. */
        CheckTrace: {
            feed: string;
            /** @description Why the candidate failed its check; `None` if it passed. */
            refused?: string | null;
        };
        /** @description A text that could be saved. */
        CheckedOverrides: {
            /** @description Number of sessions and meetings that it overrides. */
            overrides: number;
        };
        /** @description A text that could be saved. */
        CheckedSource: {
            kind: string;
            /** @description Name of the source. */
            name: string;
            /** @description The same as JSON. */
            settings: Record<string, never>;
            /** @description The file that would be saved, secrets masked. */
            text: string;
            /**
             * @description What would keep the source from working here: a missing program, or an address that no key
             *     allows.
             */
            warnings: string[];
        };
        Circuit: {
            country?: string | null;
            id: string;
            locality?: string | null;
            name: string;
        };
        /** @description One provider's claim about a session. */
        Claim: {
            cancelled: boolean;
            /** Format: date */
            date: string;
            source: string;
            /** Format: date-time */
            start?: string | null;
        };
        /** @description What has changed since the configuration was last read. */
        ConfigChanges: {
            /** @description Keys that changed and are in force now. */
            changed: string[];
            /** @description Keys that differ from those which the process began with, and take effect after a restart. */
            needs_restart: string[];
            sources: components["schemas"]["SourceChanges"];
        };
        /**
         * @description Container format of segments. Links end in its extension whatever the upstream calls them,
         *     because ffmpeg and VLC judge a segment by its extension.
         * @enum {string}
         */
        Container: "mpeg-ts" | "fmp4" | "packed-audio" | "mp3" | "ac3" | "eac3" | "web-vtt";
        /** @enum {string} */
        ExpirySource: "upstream" | "learned" | "configured" | "unknown";
        /** @description The figures are as of `measured_at`: they are taken anew when one has changed enough to matter. */
        ExplainedUpstream: {
            /** @description Whether the upstream is the active one. */
            active: boolean;
            /**
             * Format: double
             * @description How many seconds the newest segment lags behind the clock, if the playlist has program
             *     date-times.
             */
            behind_seconds?: number | null;
            /**
             * Format: int64
             * @description Bits per second of the newest segment.
             */
            bitrate?: number | null;
            breaker: components["schemas"]["BreakerState"];
            error?: string | null;
            /** Format: date-time */
            expires_at?: string | null;
            /** @description Origin of `expires_at`. */
            expiry: components["schemas"]["ExpirySource"];
            health: components["schemas"]["Health"];
            label?: string | null;
            /** Format: int64 */
            latency_ms?: number | null;
            /** Format: date-time */
            measured_at: string;
            parts: components["schemas"]["ScorePart"][];
            /** Format: int32 */
            priority: number;
            /** @description Why the upstream has this rank, in a sentence. */
            reason: string;
            /**
             * Format: double
             * @description Sum of `points` over `parts`; decides among upstreams of equal priority.
             */
            score: number;
            source: string;
            /**
             * Format: int64
             * @description Bits per second, measured over the beginning of a segment.
             */
            throughput?: number | null;
        };
        /** @description `GET /api/streams/{id}/explain`: why the stream's upstreams are ranked in this order. */
        Explanation: {
            feed: string;
            stream: components["schemas"]["StreamId"];
            /** @description Why the active upstream was selected, in a sentence. */
            summary: string;
            /** @description Upstreams by rank, best first, including those that are down or on trial. */
            upstreams: components["schemas"]["ExplainedUpstream"][];
            viewers: number;
        };
        ExtractorActivity: {
            /**
             * Format: int64
             * @description Duration of the last run.
             */
            duration_ms?: number | null;
            /** Format: date-time */
            last_run_at?: string | null;
            /** Format: date-time */
            last_success_at?: string | null;
            /** Format: date-time */
            next_run_at?: string | null;
        };
        ExtractorCount: {
            failing: number;
            total: number;
        };
        ExtractorError: {
            message: string;
            /** @description The step that failed, such as `3 select form input[name=csrf]`. */
            step: string;
        };
        /** @enum {string} */
        ExtractorState: "ok" | "failing" | "never";
        ExtractorStatus: {
            /** @description Number of candidates that the last successful run found. */
            candidates: number;
            error?: components["schemas"]["ExtractorError"] | null;
            /** Format: int64 */
            every_seconds: number;
            kind: string;
            /** @description Name of the source. */
            name: string;
            state: components["schemas"]["ExtractorState"];
        };
        /** @description `GET /api/extractors`. */
        Extractors: {
            extractors: components["schemas"]["ExtractorStatus"][];
        };
        /** @enum {string} */
        Health: "healthy" | "degraded" | "down";
        ListedSource: {
            /** @description Why the file cannot be used. */
            error?: string | null;
            /**
             * @description The name under which `/api/sources/{name}` has the file; `None` for a source in the
             *     configuration file.
             */
            file?: string | null;
            kind?: string | null;
            /** @description The file, and in the configuration file the line. */
            location: string;
            /** @description Name of the source; of a file that cannot be read, the file's. */
            name: string;
        };
        /**
         * @description Which edges a published map has reached.
         * @enum {string}
         */
        MapReach: "all-edges" | "own-edge";
        /** @description A Grand Prix, or another weekend of sessions. */
        Meeting: {
            circuit: components["schemas"]["Circuit"];
            /**
             * @description Ids of the meeting under another name or at another circuit, so that old links still
             *     resolve.
             */
            former_ids?: string[];
            /** @description `{season}:{race-slug}:{circuitId}`; never the round, which changes when a race is cancelled. */
            id: string;
            /** @description Id of the meeting that replaces this cancelled one. */
            moved_to?: string | null;
            name: string;
            /** Format: int32 */
            round?: number | null;
            sessions: components["schemas"]["Session"][];
            /** @description UTC offset at the circuit, such as `-04:00`, if a provider states it. */
            utc_offset?: string | null;
        };
        /** @description The text of the override file. */
        OverrideDraft: {
            /**
             * @description The whole file, in TOML.
             * @default null
             */
            text: string | null;
        };
        /** @description Response of `GET /api/overrides`. */
        OverrideText: {
            /** @description Whether the file may be written: `[control] edit_files`. */
            editable: boolean;
            /** @description Why the file is not used. */
            error?: string | null;
            /** @description Where the file is. */
            location: string;
            /** @description Number of sessions and meetings that it overrides. */
            overrides: number;
            /** @description The file, in TOML. */
            text: string;
            /** @description The same as in `ETag`; `None` while there is no file. */
            version?: string | null;
        };
        /** @description Problem details of an HTTP error (RFC 9457). */
        ProblemDetails: {
            detail: string;
            /** Format: int32 */
            status: number;
            title: string;
            /**
             * @description `urn:pitwall:problem:` and a name that is stable, because clients and dashboards match on
             *     it.
             */
            type: string;
        };
        /** @description State of a schedule provider. */
        ProviderStatus: {
            error?: string | null;
            /** Format: date-time */
            fetched_at?: string | null;
            name: string;
            /**
             * Format: date-time
             * @description Time since which the provider cannot be read.
             */
            stale_since?: string | null;
        };
        PublicRendition: {
            /** Format: int64 */
            bandwidth?: number | null;
            codecs?: string | null;
            container: components["schemas"]["Container"];
            /** Format: double */
            frame_rate?: number | null;
            /** Format: int32 */
            height?: number | null;
            id: components["schemas"]["RenditionId"];
            label: string;
            language?: string | null;
            name?: string | null;
            role: components["schemas"]["Role"];
            /** Format: int32 */
            width?: number | null;
        };
        PublicSource: {
            active: boolean;
            error?: string | null;
            /** Format: date-time */
            expires_at?: string | null;
            health: components["schemas"]["Health"];
            kind: string;
            label?: string | null;
            /** Format: int64 */
            latency_ms?: number | null;
            name: string;
            note?: string | null;
            /**
             * Format: double
             * @description As of the last change that mattered, like `latency_ms`.
             */
            score: number;
        };
        PublicStream: {
            /**
             * Format: date-time
             * @description Time since which no upstream plays; only while `health` is `down`.
             */
            down_since?: string | null;
            feed: string;
            health: components["schemas"]["Health"];
            id: components["schemas"]["StreamId"];
            /**
             * @description Path of the stream's multivariant playlist, as viewers request it: below the path of
             *     `[edge] public_url`.
             */
            playlist: string;
            /** @description Why no upstream plays, in a sentence; only while `health` is `down`. */
            reason?: string | null;
            /** @description Renditions of the active upstream, or of the last active one. */
            renditions: components["schemas"]["PublicRendition"][];
            /** @description Sources that play or could, best first; while the stream is down, all configured for it. */
            sources: components["schemas"]["PublicSource"][];
        };
        /** @description A rendition's id within its stream, stable across re-extraction. */
        RenditionId: string;
        /** @description The keys of one CMCD report that Pitwall evaluates; all others are ignored. */
        Report: {
            /**
             * @description The player's buffer ran dry since its last report.
             * @default false
             */
            bs: boolean;
            /**
             * @description The stream's id.
             * @default
             */
            cid: string;
            /**
             * @description The player's state: `p` is playing, `r` is rebuffering.
             * @default null
             */
            sta: string | null;
        };
        /** @enum {string} */
        Role: "video" | "audio" | "subtitles";
        /**
         * @description A branch of a run: a row of a recipe, and below it an item that `foreach` found. `path` holds
         *     the indices from the row down; `name` is the row's name in the configuration, with `#N` for
         *     each item.
         */
        RunBranch: {
            name: string;
            path: number[];
        };
        RunStarted: {
            /** @description The source was already running when the command came. */
            already_running: boolean;
            extractor: string;
        };
        /** @description Response of `GET /api/extractors/{name}/trace`. */
        RunTrace: {
            candidates: number;
            /** @description Checks of the candidates, in the order in which they ended. */
            checks: components["schemas"]["CheckTrace"][];
            /** @description Number of candidates beyond the limit. */
            dropped: number;
            /** Format: int64 */
            duration_ms: number;
            /** Format: date-time */
            ended_at: string;
            extractor: string;
            failures: components["schemas"]["ExtractorError"][];
            kind: string;
            /** @description Steps of the extractor, with secrets masked. */
            steps: components["schemas"]["TracedStep"][];
        };
        /** @description `GET /api/schedule`. */
        Schedule: {
            /** Format: date-time */
            fetched_at?: string | null;
            meetings: components["schemas"]["Meeting"][];
            season?: string | null;
            source?: string | null;
            /**
             * Format: date-time
             * @description Time since which the provider cannot be read; `None` while it can.
             */
            stale_since?: string | null;
        };
        ScheduleStatus: {
            /** @description Number of upcoming or live sessions on which providers disagree. */
            disagreements?: number;
            error?: string | null;
            /** Format: date-time */
            fetched_at?: string | null;
            providers?: components["schemas"]["ProviderStatus"][];
            source?: string | null;
            /** Format: date-time */
            stale_since?: string | null;
        };
        ScorePart: {
            /** @description `success`, `latency`, `throughput`, `stalls`, or the name of a preference. */
            name: string;
            /**
             * Format: double
             * @description Contribution to the score.
             */
            points: number;
            /**
             * Format: double
             * @description 0 to 1; always 1 for a preference.
             */
            value: number;
            /** Format: double */
            weight: number;
        };
        Session: {
            code: string;
            /**
             * Format: date
             * @description The day of the session, or its first one.
             */
            date: string;
            /** @description Claims of other providers that differ. */
            disagreement?: components["schemas"]["Claim"][];
            /** Format: date-time */
            end?: string | null;
            end_estimated: boolean;
            /** @description `{meeting id}:{code}`. */
            id: string;
            /**
             * Format: date
             * @description The last day of a session of several whole days.
             */
            last_date?: string | null;
            /** Format: date-time */
            live_from?: string | null;
            /** Format: date-time */
            live_until?: string | null;
            meeting: string;
            name: string;
            /** @description The session is live past its end, because a stream of it still plays. */
            overrun?: boolean;
            /** Format: date-time */
            revised_at?: string | null;
            /**
             * Format: int32
             * @description Grows with every change of start, end or cancellation, also across restarts and while the
             *     session is not listed.
             */
            revision: number;
            /** @description The provider whose claim was accepted. */
            source: string;
            /** Format: date-time */
            start?: string | null;
            status: components["schemas"]["SessionStatus"];
            time_known: boolean;
        };
        /** @enum {string} */
        SessionStatus: "upcoming" | "live" | "past" | "cancelled";
        /** @description Names of sources. */
        SourceChanges: {
            added: string[];
            changed: string[];
            removed: string[];
        };
        /**
         * @description A text, or changes of the stored one, or both: the changes are then made in the text. Masks in
         *     either stand for the secrets of the stored file.
         */
        SourceDraft: {
            /** @description A merge patch (RFC 7396) of the keys; comments and all other keys stay. */
            patch?: Record<string, never> | null;
            /**
             * @description The whole file, in TOML. By default that of the stored file.
             * @default null
             */
            text: string | null;
        };
        /** @description A source file with its secrets masked. */
        SourceFileText: {
            file: string;
            location: string;
            /** @description The same as JSON; `null` where the file cannot be read. */
            settings?: Record<string, never> | null;
            /** @description The file, in TOML. Secrets are masked; a mask that is sent back stands for its secret. */
            text: string;
            /** @description The same as in `ETag`. */
            version: string;
        };
        /** @description Response of `GET /api/sources`. */
        SourceList: {
            /** @description Whether files may be written: `[control] edit_files`. */
            editable: boolean;
            /**
             * @description The folder of source files; `None` for a process that was started without a configuration
             *     file.
             */
            folder?: string | null;
            sources: components["schemas"]["ListedSource"][];
        };
        /** @description `GET /api/status`. */
        Status: {
            extractors: components["schemas"]["ExtractorCount"];
            schedule: components["schemas"]["ScheduleStatus"];
            /** Format: date-time */
            started_at: string;
            streams: components["schemas"]["StreamCount"];
        };
        StreamActivity: {
            /**
             * Format: date-time
             * @description Time of the last passed check of the active upstream; while the stream is down, of any of
             *     its upstreams.
             */
            checked_at: string;
        };
        StreamCount: {
            /** @description Number of streams without an active upstream. */
            down?: number;
            healthy: number;
            /** @description Number of known streams, including those that are down. */
            total: number;
        };
        /** @description The id of a feed's name, see [`slugify`]: `[a-z0-9-]{1,64}`. */
        StreamId: string;
        StreamViewerCount: {
            feed: string;
            /** @description Whether an operator pinned that source. */
            pinned: boolean;
            /**
             * Format: int64
             * @description How long the source has been playing; since the last restart at most.
             */
            playing_seconds?: number | null;
            /** @description The source that plays; `None` while none does. */
            source?: string | null;
            stream: components["schemas"]["StreamId"];
            viewers: number;
        };
        /** @description `GET /api/streams`. */
        Streams: {
            streams: components["schemas"]["PublicStream"][];
            /**
             * Format: int64
             * @description The version of the map in which a stream or the session last changed: Unix milliseconds.
             */
            version: number;
        };
        /**
         * @description The body of a switch; it and each of its fields may be omitted. Without `source` the next best
         *     source becomes active. A pin is removed by a switch to the active source with `"pin": false`: no
         *     viewer is moved, and ranking continues from there.
         */
        SwitchBody: {
            /**
             * @description `true`: the source stays active until it is down, whatever the ranking. `false`: ranking
             *     continues from there.
             * @default true
             */
            pin: boolean;
            /**
             * @description The source that shall be active; by default the next best one.
             * @default null
             */
            source: string | null;
        };
        SwitchResult: {
            from?: string | null;
            pinned: boolean;
            reach: components["schemas"]["MapReach"];
            stream: components["schemas"]["StreamId"];
            to: string;
        };
        /** @description One step of a run, as it went. */
        TracedStep: {
            error?: string | null;
            /** @description The number of matches that the step found. */
            matched?: number | null;
            /** @description The shape of the step's output, without its values; drift is a change of this shape. */
            shape?: string | null;
            /**
             * Format: int32
             * @description The HTTP status of the response, where the step got one.
             */
            status?: number | null;
            step: string;
            /** Format: int64 */
            took_ms: number;
            /** @description The branch of the run that the step belongs to. */
            track: components["schemas"]["RunBranch"];
            /** @description The output of the step, with secrets masked. */
            yielded?: string | null;
        };
        /** @description Response of `GET /api/trials/{id}`. */
        Trial: {
            result?: components["schemas"]["TrialResult"] | null;
            /** @description Name of the source. */
            source: string;
            /** Format: date-time */
            started_at: string;
        };
        /** @description What a dry run came to. URLs are shown without tokens. */
        TrialResult: {
            candidates: components["schemas"]["TriedCandidate"][];
            /** Format: int64 */
            duration_ms: number;
            /** @description What failed; a run with candidates and failures found only a part. */
            failures: components["schemas"]["ExtractorError"][];
            /** @description Steps of the extractor, with secrets masked. */
            steps: components["schemas"]["TracedStep"][];
            /** @description What the source lists and cannot be a stream. */
            unusable: components["schemas"]["ExtractorError"][];
        };
        /** @description Response to a trial that has been started. */
        TrialStarted: {
            /** @description `/api/trials/{id}` has the result. */
            trial: string;
        };
        TriedCandidate: {
            /** Format: date-time */
            expires_at?: string | null;
            feed: string;
            /** @description The renditions that viewers would get, or why there are none. */
            found?: string | null;
            /** @description With secrets masked. */
            playlist: string;
            /** @description `None` for a candidate that was not checked, as others were enough. */
            plays?: boolean | null;
        };
        /** @description Response of `GET /api/viewers`. */
        ViewerCounts: {
            streams: components["schemas"]["StreamViewerCount"][];
            /** @description Of all streams together; who watches two streams counts twice. */
            viewers: number;
        };
        WebhookTestResult: {
            /** @description The status that it answered with, or why the test was not delivered. */
            answer: string;
            delivered: boolean;
            /** Format: int64 */
            duration_ms: number;
            /** @description Name of the webhook. */
            webhook: string;
        };
        /** @description Response of `POST /api/notifications/test`. */
        WebhookTestResults: {
            /** @description In the order of the configuration. */
            webhooks: components["schemas"]["WebhookTestResult"][];
        };
        /** @description A few figures for a dashboard. */
        Widget: {
            down_streams: number;
            failing_sources: number;
            healthy_streams: number;
            meeting?: string | null;
            /** @description The name of the session that is live, else of the next one. */
            session?: string | null;
            sources: number;
            /** Format: date-time */
            start?: string | null;
            status?: components["schemas"]["SessionStatus"] | null;
            /** @description All known streams, those that are down included. */
            streams: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
