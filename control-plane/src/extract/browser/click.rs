//! Clicks an element as a person does: the mouse is moved to its place and pressed there. Players see
//! pointer, mouse and click events, which are trusted (UI Events; DOM 2.10); a script's `click()`
//! makes none of these.

use std::time::Duration;

use serde_json::{Value, json};

use super::cdp::CdpCall;
use super::documents::PageDocument;
use super::run::MonitoredPage;
use crate::extract::StepFailure;

/// A frame that is busy for longer is asked again with the next click.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// A place in the viewport of the page, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

impl MonitoredPage<'_> {
    /// Clicks the first element that is shown and that `selector` matches, in the page or else in
    /// one of its frames. Returns whether there is one.
    ///
    /// # Errors
    /// The browser is gone, or `selector` is not one that it knows.
    pub(super) async fn click(&mut self, selector: &str) -> Result<bool, StepFailure> {
        let session = self.session.clone();
        for document in self.monitor.document_table().documents().to_vec() {
            let Some(element) = self.find_element(&document, selector).await? else { continue };
            let Some(Point { x, y }) = self.locate_element(&document.session, element).await?
            else {
                continue;
            };
            for (kind, button, buttons) in [
                ("mouseMoved", "none", 0),
                ("mousePressed", "left", 1),
                ("mouseReleased", "left", 0),
            ] {
                let event = json!({
                    "type": kind, "x": x, "y": y,
                    "button": button, "buttons": buttons, "clickCount": i32::from(button == "left"),
                });
                self.call_session(&session, "Input.dispatchMouseEvent", event).await?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// The element as the parameters by which calls name it.
    async fn find_element(
        &mut self,
        document: &PageDocument,
        selector: &str,
    ) -> Result<Option<Value>, StepFailure> {
        let evaluate =
            json!({"expression": element_search_script(selector), "contextId": document.context});
        let found = self.call_session(&document.session, "Runtime.evaluate", evaluate).await?;
        let error = found["exceptionDetails"]["exception"]["description"].as_str();
        if error.is_some_and(|error| error.contains("is not a valid selector")) {
            let failure = StepFailure::permanent("`click` has a selector that is none");
            return Err(failure.with_detail(selector));
        }
        let object = found["result"]["objectId"].as_str();
        Ok(object.map(|object| json!({"objectId": object})))
    }

    /// The middle of an element, which is scrolled into view; `None` if it takes no room.
    async fn locate_element(
        &mut self,
        session: &str,
        element: Value,
    ) -> Result<Option<Point>, StepFailure> {
        self.call_session(session, "DOM.scrollIntoViewIfNeeded", element.clone()).await?;
        let shape = self.call_session(session, "DOM.getContentQuads", element).await?;
        let quads = shape["quads"].as_array().into_iter().flatten();
        let Some(mut point) = quads.filter_map(middle_of_quad).next() else { return Ok(None) };
        let mut session = session.to_owned();
        // A process knows the places in its own frame: the places of the frames around it are added.
        while let Some(frame) = self.monitor.document_table().remote_frame(&session).cloned() {
            session = frame.parent_session;
            let frame_id = json!({"frameId": frame.frame_id});
            let owner = self.call_session(&session, "DOM.getFrameOwner", frame_id).await?;
            let owner = json!({"backendNodeId": owner["backendNodeId"]});
            self.call_session(&session, "DOM.scrollIntoViewIfNeeded", owner.clone()).await?;
            let owner = self.call_session(&session, "DOM.getBoxModel", owner).await?;
            let content = &owner["model"]["content"];
            let (Some(left), Some(top)) = (content[0].as_f64(), content[1].as_f64()) else {
                return Ok(None);
            };
            point = Point { x: point.x + left, y: point.y + top };
        }
        Ok(Some(point))
    }

    /// The result of a call, null if the browser refuses it or does not reply in time.
    async fn call_session(
        &mut self,
        session: &str,
        method: &'static str,
        parameters: Value,
    ) -> Result<Value, StepFailure> {
        let call = CdpCall::new(Some(session), method, parameters);
        Ok(self.call(call, CALL_TIMEOUT).await?.unwrap_or_default())
    }
}

/// JavaScript for the first element that `selector` matches and that is shown, in a document or in
/// the shadow trees of its elements.
fn element_search_script(selector: &str) -> String {
    let selector = Value::from(selector);
    format!(
        "(function find(root) {{ \
           for (const e of root.querySelectorAll({selector})) if (e.getClientRects().length) return e; \
           for (const e of root.querySelectorAll('*')) {{ \
             const found = e.shadowRoot && find(e.shadowRoot); if (found) return found; \
           }} \
           return null; \
         }})(document)"
    )
}

/// The middle of four corners; `None` if they enclose nothing.
fn middle_of_quad(quad: &Value) -> Option<Point> {
    let numbers: Vec<f64> = quad.as_array()?.iter().filter_map(Value::as_f64).collect();
    let corners: [f64; 8] = numbers.try_into().ok()?;
    let [x1, y1, x2, y2, x3, y3, x4, y4] = corners;
    // Twice the area between the diagonals.
    let area = (x3 - x1) * (y4 - y2) - (x4 - x2) * (y3 - y1);
    (area.abs() >= 1.0)
        .then_some(Point { x: (x1 + x2 + x3 + x4) / 4.0, y: (y1 + y2 + y3 + y4) / 4.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        for (quad, expected) in [
            (json!([10, 20, 30, 20, 30, 40, 10, 40]), Some(Point { x: 20.0, y: 30.0 })),
            (json!([0, 0.5, 2, 0.5, 2, 1.5, 0, 1.5]), Some(Point { x: 1.0, y: 1.0 })),
            (json!([10, 20, 30, 20, 30, 20, 10, 20]), None),
            (json!([10, 20]), None),
            (json!(null), None),
        ] {
            assert_eq!(middle_of_quad(&quad), expected, "{quad}");
        }
    }
}
