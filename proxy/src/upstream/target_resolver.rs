//! [`TargetResolver`]: which upstream URL a link names.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pitwall_fetch::{AddressPolicy, FetchError, NamedUrlFilter, parse_url};
use pitwall_hls::Redactor;
use url::Url;

use crate::config::UpstreamConfig;
use crate::http::problem::Problem;
use crate::http::query::{Link, object_number};
use crate::upstream::denials::{
    DenialLog, explain_foreign_host, explain_plain_denial, explain_unlisted_host,
};
use crate::upstream::profile::ResolvedProfile;
use crate::upstream::resolved_links::ResolvedLinks;
use crate::upstream::resolved_map::ResolvedMap;
use crate::upstream::seal::Sealer;
use crate::upstream::target::UpstreamTarget;

/// Resolves links to targets.
pub struct TargetResolver {
    allowed_hosts: NamedUrlFilter,
    /// The profile of plain links to the hosts that they may name.
    named_profile: Arc<ResolvedProfile>,
    /// The profile of what plain links lead to, where private address ranges are closed.
    foreign_profile: Arc<ResolvedProfile>,
    denials: DenialLog,
    /// Links to stored objects.
    pub links: ResolvedLinks,
}

impl TargetResolver {
    pub fn new(config: &UpstreamConfig, denials: DenialLog) -> Self {
        let policy = AddressPolicy {
            allow_private: config.allow_private.iter().map(|range| range.0).collect(),
            ports: config.allow_hosts.iter().filter_map(|host| host.port).collect(),
        };
        let allow_hosts = config.allow_hosts.clone();
        let allowed_hosts: NamedUrlFilter =
            Arc::new(move |url: &Url| allow_hosts.iter().any(|host| host.matches(url)));
        let profile = |policy: AddressPolicy| {
            let (named_hosts, denials) = (allowed_hosts.clone(), denials.clone());
            Arc::new(ResolvedProfile::of_plain_links(policy, named_hosts, denials))
        };
        let public_policy = AddressPolicy { allow_private: Vec::new(), ..policy.clone() };
        let (named_profile, foreign_profile) = (profile(policy), profile(public_policy));
        let links = ResolvedLinks::default();
        Self { allowed_hosts, named_profile, foreign_profile, denials, links }
    }

    /// The address policy for a link to `url` by the operator.
    pub fn policy_for_plain_link(&self, url: &Url) -> &AddressPolicy {
        &self.profile_for_plain_link(url).policy
    }

    fn profile_for_plain_link(&self, url: &Url) -> &Arc<ResolvedProfile> {
        if self.is_plain_url_allowed(url) { &self.named_profile } else { &self.foreign_profile }
    }

    /// Why [`policy_for_plain_link`](Self::policy_for_plain_link) refuses `url`, with the key of `[upstream]`
    /// that would allow it.
    pub fn explain_denial(&self, url: &Url, error: &FetchError) -> String {
        explain_plain_denial(error, url, self.is_plain_url_allowed(url))
    }

    fn is_plain_url_allowed(&self, url: &Url) -> bool {
        (self.allowed_hosts)(url)
    }

    /// The target that a link names. `source`: the source in the path of a plain link.
    ///
    /// # Errors
    /// The problem of the seal or the URL, [`Problem::TargetDenied`] for a plain link to a host
    /// that is not allowed, [`Problem::NotFound`] for an unknown source.
    pub fn resolve_link(
        &self,
        link: &Link<'_>,
        source: Option<&str>,
        sealer: &Sealer,
        map: &ResolvedMap,
        now: u64,
    ) -> Result<UpstreamTarget, Problem> {
        match link {
            Link::Plain { url } => self.resolve_plain(url, source, map),
            Link::Sealed { seal, path } => {
                let sealed = sealer.unseal(seal, path, now)?;
                let target =
                    self.resolve_for_profile(parse_url(sealed.url())?, sealed.profile(), map)?;
                let purpose = Some(sealed.purpose);
                let object_number = object_number(path.as_bytes());
                Ok(UpstreamTarget { purpose, expires: sealed.expires, object_number, ..target })
            }
        }
    }

    fn resolve_plain(
        &self,
        url: &str,
        source: Option<&str>,
        map: &ResolvedMap,
    ) -> Result<UpstreamTarget, Problem> {
        let url = URL_SAFE_NO_PAD
            .decode(url)
            .map_err(|_| Problem::BadUrl("url= is not base64url without padding"))?;
        let url = String::from_utf8(url).map_err(|_| Problem::BadUrl("url= is not UTF-8"))?;
        let url = parse_url(&url)?;
        if !self.is_plain_url_allowed(&url) {
            self.denials.log_denial(explain_unlisted_host(&url));
            return Err(Problem::TargetDenied);
        }
        let Some(source) = source else { return self.resolve_for_profile(url, "", map) };
        if map.find_profile(source).is_none() {
            return Err(Problem::NotFound);
        }
        // The header fields of a source go only to origins where the source plays, whoever made the
        // link.
        if !map
            .profiles()
            .any(|profile| profile.source() == source && profile.has_playlist_at(&url))
        {
            self.denials.log_denial(explain_foreign_host(&url, source));
            return Err(Problem::TargetDenied);
        }
        self.resolve_for_profile(url, source, map)
    }

    /// The target for a URL that an upstream with this request profile led to; an empty `profile`
    /// is that of plain links.
    ///
    /// # Errors
    /// [`Problem::SealExpired`] if the profile is no longer in the map: the links of a removed
    /// source end with it, because nothing says any more how they may be fetched.
    pub fn resolve_for_profile(
        &self,
        url: Url,
        profile: &str,
        map: &ResolvedMap,
    ) -> Result<UpstreamTarget, Problem> {
        let profile = match profile {
            "" => self.profile_for_plain_link(&url),
            id => map.find_profile(id).ok_or(Problem::SealExpired)?,
        };
        Ok(UpstreamTarget::new(url, profile.clone()))
    }

    /// The target for a URL that the playlist at the target `playlist` leads to.
    pub fn resolve_from_playlist(&self, url: Url, playlist: &UpstreamTarget) -> UpstreamTarget {
        let is_plain = playlist.profile.id.is_empty();
        let profile = if is_plain { self.profile_for_plain_link(&url) } else { &playlist.profile };
        let target = UpstreamTarget::new(url, profile.clone());
        UpstreamTarget { stream: playlist.stream.clone(), ..target }
    }

    /// What may be published of a playlist or document that was fetched from `target`, at
    /// `base_url` after redirects. Whoever may name a host in a plain link knows it; what a stream
    /// or a sealed link of a source leads to names none.
    pub fn redactor_for(&self, target: &UpstreamTarget, base_url: &Url) -> Redactor {
        let is_plain_link = target.purpose.is_none() && target.stream.is_none();
        let may_be_named = is_plain_link || target.profile.id.is_empty();
        let mut redactor = Redactor::new(may_be_named.then(|| self.allowed_hosts.clone()));
        redactor.add_url(base_url);
        redactor.add_url(&target.url);
        target.profile.add_secrets_to(&mut redactor);
        redactor
    }
}

#[cfg(test)]
mod tests;
