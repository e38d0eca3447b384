//! Decides which web pages may connect.
//!
//! Browsers let any page open a WebSocket to any server, with the server's cookies. CORS does not
//! apply. Therefore each request with an `Origin` must come from a page of this server or from a
//! listed origin. Origins are compared as a whole. A request without `Origin` does not come from a
//! page, and is allowed.

use std::{fmt, str::FromStr};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, Uri, header, request::Parts, uri::Authority},
    middleware::{self, Next},
    response::Response,
};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The origin of a web page: `scheme://host[:port]` in lower case, without the scheme's default
/// port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    authority: String,
}

impl Origin {
    /// Returns whether `host`, from the request, serves the pages of this origin.
    ///
    /// A proxy may drop the port from `Host`, as nginx does with `$host`. A browser drops a default
    /// port only. So a host without a port is compared by name.
    fn is_served_by(&self, host: &str) -> bool {
        let is_web = matches!(&*self.scheme, "http" | "https");
        // Read before a default port is removed: `chat.test:80` has a port.
        let has_port = without_port(host) != host;
        let host = without_default_port(&self.scheme, host);
        let is_same_name = !has_port && without_port(&self.authority) == host;
        is_web && (self.authority == host || is_same_name)
    }

    fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let expected = || OriginError { found: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| expected())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(expected());
        };
        let is_port_invalid =
            authority.port().is_none() && without_port(authority.as_str()) != authority.as_str();
        let has_user = authority.as_str().contains('@');
        if uri.path() != "/" || uri.query().is_some() || has_user || is_port_invalid {
            return Err(expected());
        }
        let scheme = scheme.to_ascii_lowercase();
        let authority = without_default_port(&scheme, authority.as_str());
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// The text is not an origin.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::Options;
///
/// let error = Options::default().allow_origin("chat.example.com").unwrap_err();
/// assert!(error.to_string().ends_with("found \"chat.example.com\""));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin scheme://host[:port], found {found:?}")]
pub struct OriginError {
    found: String,
}

/// Returns whether the page that sent a request may connect.
///
/// If `trusts_proxy` is set, `X-Forwarded-Host` replaces `Host`.
pub(crate) fn is_allowed(parts: &Parts, allowed: &[Origin], trusts_proxy: bool) -> bool {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(|text| text.parse::<Origin>().ok()) else {
        return false;
    };
    let is_own = host(parts, trusts_proxy).is_some_and(|host| origin.is_served_by(host));
    is_own || allowed.contains(&origin)
}

/// Adds the CORS headers for pages of the listed origins: exact origin, credentials, and any request
/// header.
///
/// A browser ignores the list of request headers unless the origin is allowed. As in ASP.NET Core,
/// a reply to a client that is no page has none of these headers.
pub(crate) fn with_cors<S>(router: Router<S>, allowed: &[Origin]) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(cors(allowed)).layer(middleware::from_fn(without_cors_for_programs))
}

async fn without_cors_for_programs(request: Request, next: Next) -> Response {
    let is_from_page = request.headers().contains_key(header::ORIGIN);
    let mut response = next.run(request).await;
    if !is_from_page {
        response.headers_mut().remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        response.headers_mut().remove(header::VARY);
    }
    response
}

fn cors(allowed: &[Origin]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed.iter().filter_map(Origin::header_value)))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .vary([header::ORIGIN, header::ACCESS_CONTROL_REQUEST_HEADERS])
}

/// Returns the requested host: the one that a trusted proxy forwards, else `Host`, else the
/// authority of an HTTP/2 request.
fn host(parts: &Parts, trusts_proxy: bool) -> Option<&str> {
    // Each proxy of a chain appends a value. The first one is the host that the browser requested.
    let forwarded = text(parts, FORWARDED_HOST)
        .filter(|_| trusts_proxy)
        .and_then(|hosts| hosts.split(',').next())
        .map(str::trim);
    forwarded
        .or_else(|| text(parts, header::HOST.as_str()))
        .or_else(|| parts.uri.authority().map(Authority::as_str))
}

/// Returns the name of the requested host in lower case, without a port.
pub(crate) fn host_name(parts: &Parts, trusts_proxy: bool) -> Option<String> {
    let name = without_port(host(parts, trusts_proxy)?);
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// Returns an authority without its port.
fn without_port(authority: &str) -> &str {
    // The last colon of `[::1]` begins no port.
    let split = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    split.map_or(authority, |(name, _)| name)
}

fn without_default_port(scheme: &str, authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).map_or_else(|| authority.clone(), str::to_owned)
}

/// The host that the browser requested, as a proxy forwards it.
pub(crate) const FORWARDED_HOST: &str = "x-forwarded-host";

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_page_of_the_same_host_and_port_may_connect() {
        check("http://127.0.0.1:5001", "127.0.0.1:5001", true);
        check("https://Chat.Example.com", "chat.example.com:443", true);
        check("http://[::1]:5001", "[::1]:5001", true);
        check("http://127.0.0.1:5002", "127.0.0.1:5001", false);
        check("http://localhost:5001", "127.0.0.1:5001", false);
    }

    #[test]
    fn a_host_without_a_port_is_compared_by_name() {
        check("http://chat.test:8080", "chat.test", true);
        check("https://chat.test:8443", "CHAT.test", true);
        check("http://[::1]:5001", "[::1]", true);
        check("http://chat.test:8080", "chat.test:80", false);
        check("http://chat.test:8080", "chat.test:443", false);
        check("http://evil.test:8080", "chat.test", false);
        check("http://[::2]:5001", "[::1]", false);
    }

    #[test]
    fn a_trusted_proxy_forwards_the_host() {
        for (trusts_proxy, origin, expected) in [
            (true, "https://chat.test:8443", true),
            (true, "https://chat.test", false),
            (true, "http://inner:5001", false),
            (false, "https://chat.test:8443", false),
            (false, "http://inner:5001", true),
        ] {
            let request = Request::get("/chatHub")
                .header("origin", origin)
                .header("host", "inner:5001")
                .header("x-forwarded-host", "chat.test:8443, second.test");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_allowed(&parts, &[], trusts_proxy), expected, "{origin} {trusts_proxy}");
        }
    }

    #[test]
    fn a_listed_origin_matches_as_a_whole() {
        check("https://friend.example.com", "here", true);
        check("https://friend.example.com:443", "here", true);
        check("http://friend.example.com", "here", false);
        check("https://a.friend.example.com", "here", false);
        check("https://friend.example.com.evil.net", "here", false);
        check("https://friend.example.com:8443", "here", false);
    }

    #[test]
    fn an_invalid_origin_may_not_connect() {
        check("null", "null", false);
        check("", "", false);
        check("file://", "here", false);
        check("ftp://here", "here", false);
        check("http://here@evil.net", "here", false);
        check("http://here:1x", "here", false);
        check("http://here:", "here", false);
    }

    #[test]
    fn a_request_without_origin_may_connect() {
        let (parts, ()) = Request::get("/chatHub").body(()).unwrap().into_parts();
        assert!(is_allowed(&parts, &[], false));
    }

    #[test]
    fn a_listed_origin_has_neither_path_nor_user() {
        for text in ["https://a/path", "a.example.com", "https://me@a", "https://a/?q", ""] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        assert!("https://a.example.com/".parse::<Origin>().is_ok());
    }

    fn check(origin: &str, host: &str, expected: bool) {
        let request = Request::get("/chatHub").header("origin", origin).header("host", host);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let allowed = ["https://friend.example.com".parse().unwrap()];
        assert_eq!(is_allowed(&parts, &allowed, false), expected, "{origin} at {host}");
    }
}
