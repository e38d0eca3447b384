//! The page: static files inside the binary, and the headers that protect browsers.
//!
//! The page loads files of its own server only and has no inline script. Its content security
//! policy enforces both.

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// Serves the files of the page.
pub(crate) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, get(file)))
}

/// A file of the folder `page/`.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

impl IntoResponse for &'static File {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.content_type)], self.content).into_response()
    }
}

/// Adds the headers that protect a browser, except those that a response has already.
pub(crate) async fn protect(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

const PROTECTION: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The files may change with the binary at the next start.
    (header::CACHE_CONTROL, "no-cache"),
];

static FILES: [File; 7] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_str!("../page/index.html"),
    },
    File {
        path: "/chat.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../page/chat.css"),
    },
    File {
        path: "/chat.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/chat.js"),
    },
    File {
        path: "/conversation.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/conversation.js"),
    },
    File {
        path: "/view.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/view.js"),
    },
    File {
        path: "/hub-connection.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/hub-connection.js"),
    },
    File {
        path: "/icon.svg",
        content_type: "image/svg+xml",
        content: include_str!("../page/icon.svg"),
    },
];

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn every_file_is_served_with_its_type_and_a_strict_policy() {
        for file in &FILES {
            let request = Request::get(file.path).body(Body::empty()).unwrap();
            let response = protect(router().oneshot(request).await.unwrap()).await;
            assert!(response.status().is_success(), "{}", file.path);
            let headers = response.headers();
            assert_eq!(headers["content-type"], file.content_type);
            assert!(
                headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .starts_with("default-src 'self';")
            );
            assert_eq!(headers["referrer-policy"], "no-referrer");
            assert_eq!(headers["x-content-type-options"], "nosniff");
        }
    }

    #[test]
    fn the_files_name_only_files_that_are_served() {
        for file in &FILES {
            let parts =
                ["src=\"", "href=\"", "from \"."].map(|start| file.content.split(start).skip(1));
            let names = parts.into_iter().flatten().filter_map(|rest| rest.split('"').next());
            for name in names.filter(|name| name.starts_with('/')) {
                assert!(FILES.iter().any(|file| file.path == name), "{name} in {}", file.path);
            }
        }
    }
}
