//! [`CdpConnection`]: the Chrome DevTools Protocol, which is JSON over a WebSocket. A call has a
//! number, which its reply repeats; events arrive between replies.

use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use crate::extract::StepFailure;

pub(super) struct CdpConnection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_call_id: u64,
}

/// A call to the page or worker of `session`, or without a session to the browser.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CdpCall {
    pub(super) session: Option<String>,
    pub(super) method: &'static str,
    pub(super) parameters: Value,
}

/// A reply, with the number of its call, or an event, with a method.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CdpMessage {
    pub(super) id: Option<u64>,
    #[serde(rename = "sessionId")]
    pub(super) session: Option<String>,
    pub(super) method: String,
    #[serde(rename = "params")]
    pub(super) parameters: Value,
    pub(super) result: Value,
    pub(super) error: Option<Value>,
}

impl CdpCall {
    pub(super) fn new(session: Option<&str>, method: &'static str, parameters: Value) -> Self {
        Self { session: session.map(str::to_owned), method, parameters }
    }
}

impl CdpConnection {
    pub(super) async fn connect(endpoint: &Url) -> Result<Self, StepFailure> {
        let connected = tokio_tungstenite::connect_async(endpoint.as_str()).await;
        let (socket, _) = connected.map_err(|error| {
            StepFailure::transient("the browser does not answer").with_detail(error)
        })?;
        Ok(Self { socket, last_call_id: 0 })
    }

    /// Sends a call and returns the number that its reply will have, without waiting for the reply.
    pub(super) async fn send(&mut self, call: &CdpCall) -> Result<u64, StepFailure> {
        self.last_call_id += 1;
        let mut message =
            json!({"id": self.last_call_id, "method": call.method, "params": call.parameters});
        if let Some(session) = &call.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket
            .send(Frame::text(message.to_string()))
            .await
            .map_err(connection_lost_failure)?;
        Ok(self.last_call_id)
    }

    pub(super) async fn next_message(&mut self) -> Result<CdpMessage, StepFailure> {
        loop {
            let frame = self
                .socket
                .next()
                .await
                .ok_or_else(|| connection_lost_failure("it closed"))?
                .map_err(connection_lost_failure)?;
            if let Frame::Text(text) = frame {
                return serde_json::from_str(&text).map_err(connection_lost_failure);
            }
        }
    }

    /// Sends a call and waits for its result; events that arrive meanwhile are discarded.
    pub(super) async fn call(&mut self, call: CdpCall) -> Result<Value, StepFailure> {
        let id = self.send(&call).await?;
        loop {
            let message = self.next_message().await?;
            if message.id == Some(id) {
                return match message.error {
                    Some(error) => Err(StepFailure::transient("the browser refuses")
                        .with_detail(error["message"].clone())),
                    None => Ok(message.result),
                };
            }
        }
    }
}

fn connection_lost_failure(error: impl std::fmt::Display) -> StepFailure {
    StepFailure::transient("the browser is gone").with_detail(error)
}
