import type { components } from './schemas';

/**
 * The JSON documents that the edge serves, by the names that the page uses. Their types are written from the edge's
 * OpenAPI document (`api-types.mjs`). Timestamps are RFC 3339 in UTC; unknown values are null or missing.
 */
type Schemas = components['schemas'];

export type Activity = Schemas['Activity'];
export type Bootstrap = Schemas['Bootstrap'];
export type Claim = Schemas['Claim'];
export type Extractor = Schemas['ExtractorStatus'];
export type Extractors = Schemas['Extractors'];
export type Health = Schemas['Health'];
export type Meeting = Schemas['Meeting'];
export type Problem = Schemas['ProblemDetails'];
export type Rendition = Schemas['PublicRendition'];
export type Schedule = Schemas['Schedule'];
export type Session = Schemas['Session'];
export type SessionStatus = Schemas['SessionStatus'];
export type Status = Schemas['Status'];
export type Stream = Schemas['PublicStream'];
export type Streams = Schemas['Streams'];
