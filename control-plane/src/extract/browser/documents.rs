//! [`DocumentTable`]: the documents of a page and its frames, in which elements are looked for. Does
//! no I/O.

use std::collections::HashMap;

use serde_json::Value;

use super::cdp::CdpMessage;

#[derive(Default)]
pub(super) struct DocumentTable {
    /// In the order in which they were loaded; a page is loaded before its frames.
    documents: Vec<PageDocument>,
    /// Frames in processes of their own, by their session.
    frames: HashMap<String, RemoteFrame>,
}

/// A document, by the session of its process and the context of its scripts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PageDocument {
    pub(super) session: String,
    pub(super) context: Value,
}

/// A frame in a process of its own, which knows nothing of the page around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RemoteFrame {
    /// The session of the page or frame that the frame is in.
    pub(super) parent_session: String,
    pub(super) frame_id: Value,
}

/// SharedDocuments that are tracked: a page has fewer frames.
const MAX_DOCUMENTS: usize = 200;

impl DocumentTable {
    pub(super) fn documents(&self) -> &[PageDocument] {
        &self.documents
    }

    /// The frame of a session; `None` for the page itself.
    pub(super) fn remote_frame(&self, session: &str) -> Option<&RemoteFrame> {
        self.frames.get(session)
    }

    pub(super) fn handle_event(&mut self, event: &CdpMessage) {
        let session = event.session.as_deref().unwrap_or_default();
        let parameters = &event.parameters;
        match event.method.as_str() {
            "Runtime.executionContextCreated" => {
                let context = &parameters["context"];
                // Workers have no frame, and extensions have contexts that are not the default.
                let is_document = context["auxData"]["isDefault"] == Value::Bool(true)
                    && context["auxData"]["frameId"].is_string();
                if is_document && self.documents.len() < MAX_DOCUMENTS {
                    let context = context["id"].clone();
                    self.documents.push(PageDocument { session: session.to_owned(), context });
                }
            }
            "Runtime.executionContextDestroyed" => {
                let context = &parameters["executionContextId"];
                self.documents.retain(|it| it.session != session || it.context != *context);
            }
            "Runtime.executionContextsCleared" => {
                self.documents.retain(|it| it.session != session);
            }
            "Target.attachedToTarget" => {
                let target = &parameters["targetInfo"];
                if let Some(inner) = parameters["sessionId"].as_str()
                    && target["type"] == "iframe"
                {
                    let parent_session = session.to_owned();
                    let frame_id = target["targetId"].clone();
                    self.frames.insert(inner.to_owned(), RemoteFrame { parent_session, frame_id });
                }
            }
            "Target.detachedFromTarget" => {
                if let Some(inner) = parameters["sessionId"].as_str() {
                    self.frames.remove(inner);
                    self.documents.retain(|it| it.session != inner);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_come_and_go() {
        let created = |session: &str, id: u64, aux: Value| {
            (
                session.to_owned(),
                "Runtime.executionContextCreated",
                json!({"context": {"id": id, "auxData": aux}}),
            )
        };
        let document = |session: &str, id: u64| {
            created(session, id, json!({"isDefault": true, "frameId": "F"}))
        };
        let event = |session: &str, method, parameters| (session.to_owned(), method, parameters);
        let mut table = DocumentTable::default();
        for ((session, method, parameters), expected) in [
            (document("page", 1), vec![("page", 1)]),
            (document("page", 2), vec![("page", 1), ("page", 2)]),
            (
                created("page", 3, json!({"isDefault": false, "frameId": "F"})),
                vec![("page", 1), ("page", 2)],
            ),
            (created("worker", 1, json!({"isDefault": true})), vec![("page", 1), ("page", 2)]),
            (
                event(
                    "page",
                    "Target.attachedToTarget",
                    json!({"sessionId": "inner", "targetInfo": {"type": "iframe", "targetId": "T"}}),
                ),
                vec![("page", 1), ("page", 2)],
            ),
            (document("inner", 1), vec![("page", 1), ("page", 2), ("inner", 1)]),
            (
                event(
                    "page",
                    "Runtime.executionContextDestroyed",
                    json!({"executionContextId": 1}),
                ),
                vec![("page", 2), ("inner", 1)],
            ),
            (event("page", "Runtime.executionContextsCleared", json!({})), vec![("inner", 1)]),
            (event("page", "Target.detachedFromTarget", json!({"sessionId": "inner"})), vec![]),
        ] {
            let is_inside =
                !expected.is_empty() && expected.iter().any(|(session, _)| *session == "inner");
            table.handle_event(&CdpMessage {
                session: Some(session),
                method: method.to_owned(),
                parameters,
                ..CdpMessage::default()
            });
            let found: Vec<_> = table
                .documents()
                .iter()
                .map(|it| (it.session.as_str(), it.context.as_u64().unwrap()))
                .collect();
            assert_eq!(found, expected, "{method}");
            if is_inside {
                let frame = table.remote_frame("inner").unwrap();
                assert_eq!((frame.parent_session.as_str(), &frame.frame_id), ("page", &json!("T")));
            }
        }
        assert_eq!((table.remote_frame("page"), table.remote_frame("inner")), (None, None));
    }
}
