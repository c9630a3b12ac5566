//! Decides whose request it is and whether it may: `Authorization: Bearer`, scopes, the tenant.
//!
//! Invariant: a route without this layer has no [`Caller`] and therefore no tenant to ask for;
//! forgetting the layer is a 500, never an open door.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use linkfunnel_model::Defaults;
use linkfunnel_model::vocab::Source;

use crate::app::App;
use crate::keys::{Key, Scope, TENANT_RULE, valid_tenant};
use crate::problem::{Answer, Problem};
use crate::shell::RequestId;

/// The header that names the tenant on a server without keys.
pub(crate) const TENANT_HEADER: &str = "linkfunnel-tenant";

/// Who asks a server without keys.
pub(crate) const LOCAL: &str = "local";

/// Whose request it is.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The only tenant this request may touch.
    pub(crate) tenant: Arc<str>,
    /// Whether the tenant was said (by key or header), so that an event naming another is refused.
    pub(crate) forced: bool,
    /// The key's name; [`LOCAL`] on a server without keys.
    pub(crate) who: Arc<str>,
}

impl Caller {
    /// What events and dead letters of this caller are read with.
    pub(crate) fn defaults(&self) -> Defaults<'_> {
        Defaults {
            tenant: (&*self.tenant).into(),
            source: Source::FirstPartyServer,
            force_tenant: self.forced,
        }
    }
}

/// What the layer of a group of routes demands.
#[derive(Clone)]
pub(crate) struct Demand {
    pub(crate) app: App,
    pub(crate) scope: Scope,
}

/// The layer: lets the request on with a [`Caller`], or answers 401, 403 or 400.
pub(crate) async fn demand(
    State(Demand { app, scope }): State<Demand>,
    Extension(id): Extension<RequestId>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let key = authorize(&app, request.headers(), scope)?;
    let tenant = tenant_of(key, request.headers())?;
    let audit = matches!(scope, Scope::Manage | Scope::Admin).then(|| Audited {
        key: key.map_or("(none)".into(), |k| k.name.clone()),
        tenant: tenant.clone(),
        action: format!("{} {}", request.method(), request.uri().path()),
    });
    let forced = key.is_some() || request.headers().contains_key(TENANT_HEADER);
    let who = key.map_or_else(|| LOCAL.into(), |key| key.name.clone());
    request.extensions_mut().insert(Caller {
        tenant,
        forced,
        who,
    });
    let response = next.run(request).await;
    if let Some(audited) = audit {
        audited.log(&id, response.status());
    }
    Ok(response)
}

struct Audited {
    key: Arc<str>,
    tenant: Arc<str>,
    action: String,
}

impl Audited {
    fn log(&self, id: &RequestId, status: StatusCode) {
        tracing::info!(
            target: "audit",
            key = %self.key,
            tenant = %self.tenant,
            action = %self.action,
            status = status.as_u16(),
            request_id = %id.as_str(),
            "privileged request"
        );
    }
}

fn authorize<'a>(app: &'a App, headers: &HeaderMap, scope: Scope) -> Answer<Option<&'a Key>> {
    if app.keys.is_empty() {
        return Ok(None);
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(unauthorized(
            "key_missing",
            "this server wants a key: send `Authorization: Bearer <key>`",
        ));
    };
    let secret = value.to_str().ok().and_then(bearer);
    let key = secret.and_then(|secret| app.keys.find(secret));
    let Some(key) = key else {
        return Err(unauthorized(
            "key_unknown",
            "the key in the Authorization header is not one of this server's",
        ));
    };
    if !key.may(scope) {
        let detail = format!("key {:?} lacks the scope {}", key.name, scope.as_str());
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
    }
    Ok(Some(key))
}

/// The secret of `Bearer <secret>`; the scheme's case does not matter (RFC 9110).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
        .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"linkfunnel\"")
}

fn tenant_of(key: Option<&Key>, headers: &HeaderMap) -> Answer<Arc<str>> {
    let named = match headers.get(TENANT_HEADER).map(|v| v.to_str()) {
        None => None,
        Some(Ok(tenant)) if valid_tenant(tenant) => Some(tenant),
        Some(_) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_tenant",
                format!("Linkfunnel-Tenant: a tenant is {TENANT_RULE}"),
            ));
        }
    };
    match (key, named) {
        (Some(key), Some(named)) if *key.tenant != *named => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_mismatch",
            "the key belongs to another tenant than the header Linkfunnel-Tenant names",
        )),
        (Some(key), _) => Ok(key.tenant.clone()),
        (None, named) => Ok(named.unwrap_or(linkfunnel_model::DEFAULT_TENANT).into()),
    }
}

/// On a server without keys: refuses names a hostile web page could have pointed at this machine
/// (DNS rebinding). An address, `localhost` or no name at all is fine.
pub(crate) fn refuse_strange_host(app: &App, headers: &HeaderMap) -> Option<Problem> {
    if !app.keys.is_empty() {
        return None;
    }
    let host = headers.get(header::HOST)?.to_str().unwrap_or_default();
    if host_is_local(host) {
        return None;
    }
    Some(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "strange_host",
        "a server without keys answers only to an address or localhost, not to this host name; \
         configure keys to serve it under a name",
    ))
}

fn host_is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_scheme_is_read_whatever_its_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn only_addresses_and_localhost_are_local_hosts() {
        for local in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:80",
            "[::1]:9",
            "a.localhost",
        ] {
            assert!(host_is_local(local), "{local}");
        }
        for strange in ["evil.example", "localhost.evil.example:80", "", "a b"] {
            assert!(!host_is_local(strange), "{strange}");
        }
    }
}
