//! Errors of Redis in words of an operator, with what to do.

use redis::RedisError;

use super::StoreError;

/// What rustls says of a certificate, and what that means.
const CERTIFICATE_ERRORS: [(&str, &str); 4] = [
    (
        "CaUsedAsEndEntity",
        "its certificate is that of an authority (CA:TRUE), as `openssl req -x509` makes one: have \
         an authority sign another one for the server, and name the authority's in SSL_CERT_FILE",
    ),
    (
        "UnknownIssuer",
        "nobody here knows the issuer of its certificate: name the issuer's in SSL_CERT_FILE",
    ),
    (
        "NotValidForName",
        "its certificate is for another name: [store] url has to say a name that is in it",
    ),
    ("Expired", "its certificate has expired: renew it"),
];

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        Self::Unreachable(explain_error(&error))
    }
}

fn explain_error(error: &RedisError) -> String {
    let text = error.to_string();
    let code = error.code();
    if let Some("MOVED" | "ASK") = code {
        return "it is a node of a Redis cluster, and another node has these keys. Pitwall follows \
                no redirects: use one server without cluster mode, with Sentinel where it has to \
                be replaced"
            .to_owned();
    }
    // Redis repeats the arguments of a command that it does not know, and these are binary.
    if let Some((said, _)) = text.split_once(", with args beginning with") {
        let command = said.rsplit(['\'', '`']).find(|it| !it.is_empty()).unwrap_or_default();
        return format!(
            "it does not know the command {command}: Pitwall needs it under this name, so take it \
             out of rename-command"
        );
    }
    let explained = CERTIFICATE_ERRORS
        .iter()
        .find(|(name, _)| text.contains("certificate") && text.contains(name));
    explained.map_or(text, |(_, explanation)| (*explanation).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error as Redis sends it.
    fn sent(reply: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    fn of_certificate(reason: &str) -> RedisError {
        std::io::Error::other(format!("invalid peer certificate: {reason}")).into()
    }

    #[test]
    fn errors_say_what_to_do() {
        for (error, expected) in [
            (sent("MOVED 3999 10.0.0.9:6381"), "it is a node of a Redis cluster"),
            (sent("ASK 3999 10.0.0.9:6381"), "it is a node of a Redis cluster"),
            (
                sent("ERR unknown command 'EVALSHA', with args beginning with: 'a' '\u{1}\u{7}' "),
                "it does not know the command EVALSHA: ",
            ),
            (
                sent("ERR unknown command `SCRIPT`, with args beginning with: `LOAD`, "),
                "it does not know the command SCRIPT: ",
            ),
            (of_certificate("Other(OtherError(CaUsedAsEndEntity))"), "its certificate is that of"),
            (of_certificate("UnknownIssuer"), "nobody here knows the issuer"),
            (of_certificate("NotValidForName"), "its certificate is for another name"),
            (of_certificate("Expired"), "its certificate has expired"),
            (std::io::Error::other("Expired").into(), "Expired"),
        ] {
            let text = explain_error(&error);
            assert!(text.starts_with(expected), "{error}\n  {text}");
            assert!(!text.contains(char::is_control), "{text}");
        }
        let refused = sent("NOPERM User pitwall has no permissions to run the 'publish' command");
        assert!(explain_error(&refused).contains("no permissions to run the 'publish' command"));
    }
}
