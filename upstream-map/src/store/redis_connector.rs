//! [`RedisConnector`]: opens connections to Redis, wherever its master is now. Retries are up to
//! the caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::sentinel::Sentinel;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, Msg, ProtocolVersion, PushInfo, PushKind, RedisResult,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::StoreError;
use super::redis_address::{RedisAddress, RedisEndpoint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A slow Redis still counts as available, because only callers that have time use this timeout.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct RedisConnector {
    address: RedisAddress,
    /// The server does not support RESP3.
    pub(super) is_resp2_only: AtomicBool,
}

/// Messages of a pub/sub channel; the stream ends when the connection is lost.
pub(super) enum NoticeStream {
    Resp3Push(mpsc::UnboundedReceiver<PushInfo>),
    /// RESP2 needs a separate connection for pub/sub.
    SeparatePubSub(Box<PubSub>),
}

impl RedisConnector {
    pub(super) fn new(address: RedisAddress) -> Self {
        if address.can_use_tls() {
            // Fails if a provider is already installed, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Self { address, is_resp2_only: AtomicBool::new(false) }
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new();
        Ok(self.open_connection(config).await?.0)
    }

    /// Connects, and subscribes to `channel` from now on.
    pub(super) async fn subscribe(
        &self,
        channel: &str,
    ) -> Result<(MultiplexedConnection, NoticeStream), StoreError> {
        let (push_sender, push_receiver) = mpsc::unbounded_channel();
        if !self.is_resp2_only.load(Ordering::Relaxed) {
            let config = AsyncConnectionConfig::new().set_push_sender(push_sender.clone());
            let (mut connection, client) = self.open_connection(config).await?;
            if is_resp3(&client) {
                connection.subscribe(channel).await?;
                return Ok((connection, NoticeStream::Resp3Push(push_receiver)));
            }
        }
        let (connection, client) = self.open_connection(AsyncConnectionConfig::new()).await?;
        let pubsub = async {
            let mut pubsub = client.get_async_pubsub().await?;
            pubsub.subscribe(channel).await?;
            RedisResult::Ok(pubsub)
        };
        let pubsub =
            timeout(CONNECT_TIMEOUT, pubsub).await.map_err(|_| connect_timeout_error())??;
        Ok((connection, NoticeStream::SeparatePubSub(Box::new(pubsub))))
    }

    async fn open_connection(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, Client), StoreError> {
        let config = config
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(REPLY_TIMEOUT));
        let client = timeout(CONNECT_TIMEOUT, self.resolve_client())
            .await
            .map_err(|_| connect_timeout_error())??;
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
                self.is_resp2_only.store(true, Ordering::Relaxed);
                Err(StoreError::Unreachable("it does not speak RESP3".to_owned()))
            }
            opened => Ok((opened?, client)),
        }
    }

    async fn resolve_client(&self) -> RedisResult<Client> {
        let info = match &self.address.0 {
            RedisEndpoint::Server(info) => info.clone(),
            RedisEndpoint::Sentinels { sentinels, master, node } => {
                let mut sentinel = Sentinel::build(sentinels.clone())?;
                let client = sentinel.async_master_for(master, Some(node)).await?;
                client.get_connection_info().clone()
            }
        };
        let protocol = match self.is_resp2_only.load(Ordering::Relaxed) {
            true => ProtocolVersion::RESP2,
            false => ProtocolVersion::RESP3,
        };
        let settings = info.redis_settings().clone().set_protocol(protocol);
        Client::open(info.set_redis_settings(settings))
    }
}

fn is_resp3(client: &Client) -> bool {
    client.get_connection_info().redis_settings().protocol() == ProtocolVersion::RESP3
}

fn connect_timeout_error() -> StoreError {
    StoreError::Unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
}

impl NoticeStream {
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Resp3Push(receiver) => loop {
                let push = receiver.recv().await?;
                if push.kind == PushKind::Disconnection {
                    return None;
                }
                if let Some(message) = Msg::from_push_info(push) {
                    return Some(message.get_payload_bytes().to_vec());
                }
            },
            Self::SeparatePubSub(pubsub) => {
                let message = pubsub.on_message().next().await?;
                Some(message.get_payload_bytes().to_vec())
            }
        }
    }

    /// The next message if it has already arrived.
    pub(super) fn try_next(&mut self) -> Option<Vec<u8>> {
        futures::FutureExt::now_or_never(self.next()).flatten()
    }
}
