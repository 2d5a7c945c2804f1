//! [`RedisAddress`]: the address of Redis from `[store]`.

use redis::sentinel::SentinelNodeConnectionInfo;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsMode};
use url::Url;

const SENTINEL_DEFAULT_PORT: u16 = 26379;

/// One server, or Sentinels that know which of several servers is the master.
#[derive(Clone)]
pub struct RedisAddress(pub(super) RedisEndpoint);

#[derive(Clone)]
pub(super) enum RedisEndpoint {
    Server(ConnectionInfo),
    Sentinels { sentinels: Vec<ConnectionInfo>, master: String, node: SentinelNodeConnectionInfo },
}

/// What is wrong with the address, and in which key of `[store]`. The text never contains the
/// password.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct InvalidRedisAddress {
    /// Configuration key, such as `store.url`.
    pub key: &'static str,
    pub why: String,
}

impl RedisAddress {
    /// Parses `url` (`redis://user:password@host:6379/0`, `rediss` for TLS). With Sentinels, its
    /// host is the name of the master that they watch.
    ///
    /// # Errors
    /// [`InvalidRedisAddress`] with the key at fault.
    pub fn parse(url: &str, sentinels: &[String]) -> Result<Self, InvalidRedisAddress> {
        let invalid =
            |why: &dyn ToString| InvalidRedisAddress { key: "store.url", why: why.to_string() };
        let parsed = Url::parse(url).map_err(|error| invalid(&error))?;
        if !matches!(parsed.scheme(), "redis" | "rediss" | "redis+unix") {
            return Err(invalid(&"it begins with redis://, rediss:// or redis+unix://"));
        }
        // Only the category is reported, because the error's own text may contain the password.
        let info = url.into_connection_info().map_err(|error| invalid(&error.category()))?;
        if sentinels.is_empty() {
            return Ok(Self(RedisEndpoint::Server(info)));
        }
        let (master, tls) = match info.addr() {
            ConnectionAddr::Tcp(name, _) => (name.clone(), None),
            ConnectionAddr::TcpTls { host, .. } => (host.clone(), Some(TlsMode::Secure)),
            _ => return Err(invalid(&"with sentinels it names their master: redis://mymaster")),
        };
        let mut node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(info.redis_settings().clone());
        if let Some(tls) = tls {
            node = node.set_tls_mode(tls);
        }
        let sentinels =
            sentinels.iter().map(|text| parse_sentinel(text)).collect::<Result<_, _>>()?;
        Ok(Self(RedisEndpoint::Sentinels { sentinels, master, node }))
    }

    pub(super) fn can_use_tls(&self) -> bool {
        let uses_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        match &self.0 {
            RedisEndpoint::Server(info) => uses_tls(info),
            // The master or one of the Sentinels may use TLS.
            RedisEndpoint::Sentinels { .. } => true,
        }
    }
}

/// Parses a Sentinel's `host:port`, or its URL if it needs a password of its own.
fn parse_sentinel(text: &str) -> Result<ConnectionInfo, InvalidRedisAddress> {
    let invalid =
        |why: &dyn ToString| InvalidRedisAddress { key: "store.sentinels", why: why.to_string() };
    let url = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
    let mut url = Url::parse(&url).map_err(|error| invalid(&error))?;
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "redis" | "rediss") {
        return Err(invalid(&"a Sentinel is host:port, or redis://user:password@host:port"));
    }
    if url.port().is_none() && url.set_port(Some(SENTINEL_DEFAULT_PORT)).is_err() {
        return Err(invalid(&"a Sentinel has a port"));
    }
    url.into_connection_info().map_err(|error| invalid(&error.category()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_errors_hide_the_password() {
        for (url, sentinels, expected) in [
            ("redis://127.0.0.1", &[][..], None),
            ("rediss://user:secret@redis.example:6380/2", &[], None),
            ("redis://:secret@mymaster", &["a", "b:1", "redis://:other@c"], None),
            ("redis+unix:///run/redis.sock", &[], None),
            ("http://127.0.0.1", &[], Some("store.url")),
            ("127.0.0.1:6379", &[], Some("store.url")),
            ("redis://host/secret", &[], Some("store.url")),
            ("redis+unix:///run/redis.sock", &["a"], Some("store.url")),
            ("redis://mymaster", &["http://a"], Some("store.sentinels")),
            ("redis://mymaster", &["a:secret"], Some("store.sentinels")),
        ] {
            let sentinels: Vec<String> = sentinels.iter().map(|&text| text.to_owned()).collect();
            let got = RedisAddress::parse(url, &sentinels).err();
            assert_eq!(got.as_ref().map(|error| error.key), expected, "{url} {sentinels:?}");
            assert!(got.is_none_or(|error| !error.to_string().contains("secret")), "{url}");
        }
    }

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        let address = RedisAddress::parse("rediss://mymaster", &["a".into(), "b:1".into()]);
        let Ok(RedisAddress(RedisEndpoint::Sentinels { sentinels, master, .. })) = address else {
            panic!("no Sentinels");
        };
        let all: Vec<String> = sentinels.iter().map(|one| one.addr().to_string()).collect();
        assert_eq!((all.join(" "), master.as_str()), ("a:26379 b:1".to_owned(), "mymaster"));
    }
}
