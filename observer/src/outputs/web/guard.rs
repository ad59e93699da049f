//! Who may be called, and what a browser may do with the answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::answer;
use super::view::node;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Names that this server may be called by.
///
/// A page of another site can point its own name at 127.0.0.1 and then read
/// what the browser takes for the same origin. It can't choose the `Host` that
/// the browser sends, so a request is answered only when that is an IP address,
/// `localhost`, the name of this host, or a name that the operator gave. A
/// request without `Host` doesn't come from a browser.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Arc<[String]>,
}

impl Hosts {
    /// This host's own name and those that the operator gave, each with or
    /// without a port.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(given: I) -> Self {
        let own = node();
        let names = given
            .into_iter()
            .map(|name| bare(name.as_ref()).to_owned())
            .chain([own])
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        Self { names }
    }

    fn allow(&self, authority: &str) -> bool {
        let Ok(parsed) = authority.parse::<Authority>() else {
            return false;
        };
        if parsed.as_str().contains('@') {
            return false;
        }
        let name = parsed.host().trim_end_matches('.').to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok() || name == "localhost" || self.names.contains(&name)
    }

    fn allow_all_of(&self, headers: &HeaderMap, authority: Option<&Authority>) -> bool {
        let header = headers
            .get_all(HOST)
            .iter()
            .all(|value| value.to_str().is_ok_and(|host| self.allow(host)));
        header && authority.is_none_or(|authority| self.allow(authority.as_str()))
    }
}

/// A name without its port.
fn bare(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    }
}

/// Refuses what is neither GET nor HEAD and what is called by a foreign name,
/// and adds the headers that every answer has.
pub async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut response = if !hosts.allow_all_of(request.headers(), request.uri().authority()) {
        answer::problem(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not accept that host name; use its IP address, or allow the name with --web.host",
        )
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        let mut refused = answer::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are allowed here",
        );
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        refused
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_known_names_are_allowed() {
        let hosts = Hosts::new(["Node7.example:11400", ""]);
        for good in [
            "127.0.0.1:11400",
            "127.0.0.1",
            "[::1]:11400",
            "10.2.3.4:80",
            "localhost:11400",
            "LOCALHOST.",
            "node7.example",
            "node7.EXAMPLE:9",
        ] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "",
            "attacker.example",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example:11400",
            "node7.example.attacker.example",
            "127.0.0.1@attacker.example",
            "a b",
            "[::1",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
    }
}
