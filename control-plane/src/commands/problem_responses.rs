//! Descriptions of the problems that many operations share, for the OpenAPI document.

use std::collections::BTreeMap;

use pitwall_upstream_map::documents::ProblemDetails;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use super::problem::PROBLEM_CONTENT_TYPE;
use super::routes::{
    OUTCOME_UNKNOWN_DESCRIPTION, UNAUTHORIZED_DESCRIPTION, UNAVAILABLE_DESCRIPTION,
};

/// Of every command.
pub(super) struct CommandProblemResponses;
/// Of a command with a body.
pub(super) struct BodyProblemResponses;
/// Of a command that reads a file.
pub(super) struct FileProblemResponses;
/// Of a command with the text of a file.
pub(super) struct TextProblemResponses;
/// Of a command that changes a file.
pub(super) struct FileChangeProblemResponses;

type Responses = BTreeMap<String, RefOr<Response>>;

fn build_problem_responses<const N: usize>(descriptions: [(u16, &str); N]) -> Responses {
    let problem = |(status, description): (u16, &str)| {
        let schema = Ref::from_schema_name(ProblemDetails::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response =
            ResponseBuilder::new().description(description).content(PROBLEM_CONTENT_TYPE, content);
        (status.to_string(), RefOr::T(response.build()))
    };
    descriptions.map(problem).into()
}

impl IntoResponses for CommandProblemResponses {
    fn responses() -> Responses {
        build_problem_responses([
            (401, UNAUTHORIZED_DESCRIPTION),
            (503, UNAVAILABLE_DESCRIPTION),
            (504, OUTCOME_UNKNOWN_DESCRIPTION),
        ])
    }
}

impl IntoResponses for BodyProblemResponses {
    fn responses() -> Responses {
        build_problem_responses([
            (400, "The body cannot be read."),
            (413, "The body is too long: at most 64 KiB."),
            (415, "The body is not JSON."),
        ])
    }
}

impl IntoResponses for FileProblemResponses {
    fn responses() -> Responses {
        build_problem_responses([
            (
                404,
                "source-file-unknown: there is no such file. file-not-configured: the \
                 configuration names none.",
            ),
            (422, "bad-name: the name is none that a file may have."),
            (500, "file-failed: the file system failed, and how."),
        ])
    }
}

impl IntoResponses for TextProblemResponses {
    fn responses() -> Responses {
        build_problem_responses([
            (404, "file-not-configured: the configuration names no such file."),
            (409, "source-name-taken: another source has this name, and where."),
            (
                422,
                "file-invalid: file, line and key of what is wrong. bad-name: the name is none that \
                 a file may have.",
            ),
            (500, "file-failed: the file system failed, and how."),
        ])
    }
}

impl IntoResponses for FileChangeProblemResponses {
    fn responses() -> Responses {
        build_problem_responses([
            (403, "file-read-only: [control] edit_files is off, or the file cannot be written."),
            (412, "file-changed: the file has another version than the one that was named."),
            (428, "version-missing: neither If-Match nor If-None-Match: * was sent."),
        ])
    }
}
