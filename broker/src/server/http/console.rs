//! The console page: channels, messages, clients and settings in a browser.
//!
//! It is three files without a build step. All it shows comes from commands.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Scripts and styles of this port only, and requests to it only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the routes of the page.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let html = || async { page("text/html", include_str!("console/console.html")) };
    let css = || async { page("text/css", include_str!("console/console.css")) };
    let script = || async { page("text/javascript", include_str!("console/console.js")) };
    Router::new()
        .route("/", get(html))
        .route("/console.css", get(css))
        .route("/console.js", get(script))
}

fn page(kind: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        // A new version of the broker has a new page.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text).into_response()
}
