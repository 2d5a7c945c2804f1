//! [`CommandAuthorizer`]: whether a command is the operator's: signed with the admin token by an
//! edge or a standby, or with the token itself, from an operator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use http::header;
use pitwall_upstream_map::{CommandKey, CommandSignature};
use tokio::sync::watch;

use super::problem::Problem;
use super::routes::BODY_MAX_BYTES;
use super::token::AdminToken;
use crate::clock::Clock;

/// How far the time of a signature may be from this control plane's clock, in seconds.
const SIGNATURE_TIME_TOLERANCE: i64 = 60;
/// How long the body of a signed command may take, which is some KiB.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct CommandAuthorizer {
    /// `None`: every command is refused.
    token: watch::Receiver<Option<AdminToken>>,
    clock: Clock,
    /// The nonces of accepted signatures, and until when, in Unix seconds, their time is accepted.
    used_nonces: Mutex<HashMap<[u8; 16], i64>>,
    clear_text_warning: Once,
}

impl CommandAuthorizer {
    pub(super) fn new(token: watch::Receiver<Option<AdminToken>>, clock: Clock) -> Self {
        let (used_nonces, clear_text_warning) = (Mutex::default(), Once::new());
        Self { token, clock, used_nonces, clear_text_warning }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.borrow().is_some()
    }

    /// Gives back a request that is authorized.
    ///
    /// # Errors
    /// A problem with status 401, or 413 for a signed body that is longer than any command.
    pub(super) async fn authorize(&self, request: Request) -> Result<Request, Problem> {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Err(Problem::TokenMissing);
        }
        let token = self.token.borrow().clone().ok_or(Problem::TokenInvalid)?;
        if let Some(signature) = CommandSignature::of_headers(request.headers()) {
            return self.authorize_signed(request, token.command_key(), &signature).await;
        }
        if !token.is_presented_in(request.headers()) {
            return Err(Problem::TokenInvalid);
        }
        self.warn_of_clear_text(&request);
        Ok(request)
    }

    /// The signature is verified before the body is read, so that only a holder of the token can
    /// have this control plane wait for a body.
    async fn authorize_signed(
        &self,
        request: Request,
        key: &CommandKey,
        signature: &CommandSignature,
    ) -> Result<Request, Problem> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if !key.has_signed(signature, request.method(), path, request.headers()) {
            return Err(Problem::TokenInvalid);
        }
        let now = self.clock.now().as_second();
        let age = now.saturating_sub(signature.time);
        if !(-SIGNATURE_TIME_TOLERANCE..=SIGNATURE_TIME_TOLERANCE).contains(&age) {
            return Err(Problem::SignatureExpired { age });
        }
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(BODY_READ_TIMEOUT, to_bytes(body, BODY_MAX_BYTES)).await;
        let body = body.map_err(|_| Problem::BadBody("it does not come in time".to_owned()))?;
        let body = body.map_err(|_| Problem::BodyTooLarge)?;
        if !signature.is_of_body(&body) {
            return Err(Problem::TokenInvalid);
        }
        if !self.use_nonce(signature, now) {
            return Err(Problem::SignatureReplayed);
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// False for a nonce that was used already.
    fn use_nonce(&self, signature: &CommandSignature, now: i64) -> bool {
        let mut used = self.used_nonces.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, expires| *expires >= now);
        let expires = signature.time.saturating_add(SIGNATURE_TIME_TOLERANCE);
        used.insert(signature.nonce, expires).is_none()
    }

    /// The value of `Authorization` for the leader: the signature that came, so that the leader
    /// sees a replay whichever way it comes, or a new one for a command that came with the token.
    pub(super) fn authorization_for_leader(
        &self,
        parts: &http::request::Parts,
        path_and_query: &str,
        body: &[u8],
    ) -> Option<http::HeaderValue> {
        let signature = match CommandSignature::of_headers(&parts.headers) {
            Some(signature) => signature,
            None => {
                let token = self.token.borrow().clone()?;
                let now = self.clock.now().as_second();
                token.command_key().sign(&parts.method, path_and_query, &parts.headers, body, now)
            }
        };
        Some(signature.to_header())
    }

    fn warn_of_clear_text(&self, request: &Request) {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        if let Some(address) = peer.filter(|address| !address.to_canonical().is_loopback()) {
            self.clear_text_warning.call_once(|| {
                tracing::warn!(
                    %address,
                    "the admin token came in clear text from another machine: update the edge or \
                     control plane there, which then signs commands, or send commands to an edge \
                     over https"
                );
            });
        }
    }
}

#[cfg(test)]
mod tests;
