//! [`Link`]: connections to Redis, wherever it is now. Makes them; whoever uses one tries again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::sentinel::Sentinel;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, Msg, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::StoreError;
use super::address::{Place, RedisAddress};

const CONNECT: Duration = Duration::from_secs(3);
/// A Redis that is slow is still one: nobody waits for it but who has the time.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) struct Link {
    address: RedisAddress,
    /// It is too old for RESP3.
    pub(super) resp2: AtomicBool,
}

/// What is published on a channel. `None` when the connection is gone.
pub(super) enum Notices {
    Pushed(mpsc::UnboundedReceiver<PushInfo>),
    /// Before RESP3 they need a connection of their own.
    Apart(Box<PubSub>),
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Link {
    pub(super) fn new(address: RedisAddress) -> Self {
        if address.is_encrypted() {
            // Whoever comes second finds it installed.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Self { address, resp2: AtomicBool::new(false) }
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new();
        Ok(self.open(config).await?.0)
    }

    /// With everything that is published on `channel` from now on.
    pub(super) async fn subscribe(
        &self,
        channel: &str,
    ) -> Result<(MultiplexedConnection, Notices), StoreError> {
        let (pushed, notices) = mpsc::unbounded_channel();
        if !self.resp2.load(Ordering::Relaxed) {
            let config = AsyncConnectionConfig::new().set_push_sender(pushed.clone());
            let (mut connection, client) = self.open(config).await?;
            if is_resp3(&client) {
                connection.subscribe(channel).await?;
                return Ok((connection, Notices::Pushed(notices)));
            }
        }
        let (connection, client) = self.open(AsyncConnectionConfig::new()).await?;
        let apart = async {
            let mut apart = client.get_async_pubsub().await?;
            apart.subscribe(channel).await?;
            RedisResult::Ok(apart)
        };
        let apart = timeout(CONNECT, apart).await.map_err(|_| too_slow())??;
        Ok((connection, Notices::Apart(Box::new(apart))))
    }

    async fn open(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, Client), StoreError> {
        let config =
            config.set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        let client = timeout(CONNECT, self.client()).await.map_err(|_| too_slow())??;
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
                self.resp2.store(true, Ordering::Relaxed);
                Err(StoreError::Unreachable("it does not speak RESP3".to_owned()))
            }
            opened => Ok((opened?, client)),
        }
    }

    async fn client(&self) -> RedisResult<Client> {
        let info = match &self.address.0 {
            Place::Server(info) => info.clone(),
            Place::Sentinels { sentinels, master, node } => {
                let mut sentinel = Sentinel::build(sentinels.clone())?;
                let client = sentinel.async_master_for(master, Some(node)).await?;
                client.get_connection_info().clone()
            }
        };
        let protocol = match self.resp2.load(Ordering::Relaxed) {
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

fn too_slow() -> StoreError {
    StoreError::Unreachable(format!("no answer within {} s", CONNECT.as_secs()))
}

impl Notices {
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Pushed(pushed) => loop {
                let push = pushed.recv().await?;
                if push.kind == PushKind::Disconnection {
                    return None;
                }
                if let Some(message) = Msg::from_push_info(push) {
                    return Some(message.get_payload_bytes().to_vec());
                }
            },
            Self::Apart(apart) => {
                let message = apart.on_message().next().await?;
                Some(message.get_payload_bytes().to_vec())
            }
        }
    }

    /// One that is there already.
    pub(super) fn ready(&mut self) -> Option<Vec<u8>> {
        futures::FutureExt::now_or_never(self.next()).flatten()
    }
}
