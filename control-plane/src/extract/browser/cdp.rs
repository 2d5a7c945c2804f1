//! The DevTools protocol: JSON over a websocket. Calls are numbered; events come in between.

use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use crate::extract::Failure;

pub(super) struct Cdp {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
}

/// To a page or a worker, or with no session to the browser.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) session: Option<String>,
    pub(super) method: &'static str,
    pub(super) parameters: Value,
}

/// An answer has the number of its call; an event has a method.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: Option<u64>,
    #[serde(rename = "sessionId")]
    pub(super) session: Option<String>,
    pub(super) method: String,
    #[serde(rename = "params")]
    pub(super) parameters: Value,
    pub(super) result: Value,
    pub(super) error: Option<Value>,
}

impl Call {
    pub(super) fn new(session: Option<&str>, method: &'static str, parameters: Value) -> Self {
        Self { session: session.map(str::to_owned), method, parameters }
    }
}

impl Cdp {
    pub(super) async fn connect(endpoint: &Url) -> Result<Self, Failure> {
        let connected = tokio_tungstenite::connect_async(endpoint.as_str()).await;
        let (socket, _) = connected
            .map_err(|error| Failure::passing("the browser does not answer").detail(error))?;
        Ok(Self { socket, last: 0 })
    }

    /// Does not wait for the answer, which bears the number that is returned.
    pub(super) async fn send(&mut self, call: &Call) -> Result<u64, Failure> {
        self.last += 1;
        let mut message =
            json!({"id": self.last, "method": call.method, "params": call.parameters});
        if let Some(session) = &call.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Frame::text(message.to_string())).await.map_err(gone)?;
        Ok(self.last)
    }

    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let frame = self.socket.next().await.ok_or_else(|| gone("it closed"))?.map_err(gone)?;
            if let Frame::Text(text) = frame {
                return serde_json::from_str(&text).map_err(gone);
            }
        }
    }

    /// For what has to be known before anything else can be done.
    pub(super) async fn call(&mut self, call: Call) -> Result<Value, Failure> {
        let id = self.send(&call).await?;
        loop {
            let message = self.next().await?;
            if message.id == Some(id) {
                return match message.error {
                    Some(error) => {
                        Err(Failure::passing("the browser refuses")
                            .detail(error["message"].clone()))
                    }
                    None => Ok(message.result),
                };
            }
        }
    }
}

fn gone(error: impl std::fmt::Display) -> Failure {
    Failure::passing("the browser is gone").detail(error)
}
