//! The page for SignalR 2, with the scripts that it needs.
//!
//! jQuery and the client of SignalR 2 come from a directory that the user names. Without it the
//! page shows how to fetch them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use bytes::Bytes;

/// The scripts that the page loads besides its own.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    jquery: Bytes,
    signalr: Bytes,
}

impl Scripts {
    /// Reads the scripts from a directory, or from the packages that npm installed in it.
    ///
    /// # Errors
    ///
    /// Returns an error if a script is missing or cannot be read.
    pub(crate) fn read(directory: &Path) -> Result<Self, ScriptsError> {
        let jquery = read(directory, &["jquery.min.js", "jquery.js"], "jquery/dist")?;
        let signalr = ["jquery.signalR.min.js", "jquery.signalR.js"];
        let signalr = read(directory, &signalr, "signalr")?;
        Ok(Self { jquery, signalr })
    }
}

/// Reads the first of the files that exists, in the directory or in its npm package.
fn read(directory: &Path, names: &[&str], package: &str) -> Result<Bytes, ScriptsError> {
    let folders = [String::new(), package.to_owned(), format!("node_modules/{package}")];
    for folder in &folders {
        for name in names {
            let path = directory.join(folder).join(name);
            match fs::read(&path) {
                Ok(script) => return Ok(script.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ScriptsError::Unreadable { path, source }),
            }
        }
    }
    let (directory, name) = (directory.to_owned(), names[0].to_owned());
    Err(ScriptsError::Missing { directory, name })
}

/// The reason why `--scripts` is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptsError {
    #[error(
        "expected {name} in {}, or npm's package with it; fetch it with `npm install --prefix {} \
         jquery@3 signalr@2`",
        directory.display(),
        directory.display()
    )]
    Missing { directory: PathBuf, name: String },
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Serves the page and its scripts.
pub(crate) fn router(scripts: Option<Scripts>) -> Router {
    let Some(Scripts { jquery, signalr }) = scripts else {
        return Router::new().route("/classic", get(|| async { Html(MISSING) }));
    };
    Router::new()
        .route("/classic", get(|| async { Html(PAGE) }))
        .route("/classic.js", get(|| async { script(SCRIPT) }))
        .route("/classic/jquery.js", get(|| async { script(jquery) }))
        .route("/classic/jquery.signalR.js", get(|| async { script(signalr) }))
}

fn script(text: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], text)
}

const PAGE: &str = include_str!("../page/classic.html");
const MISSING: &str = include_str!("../page/classic-missing.html");
const SCRIPT: &str = include_str!("../page/classic.js");

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_page_loads_scripts_that_are_served() {
        let scripts = Scripts { jquery: "$".into(), signalr: "$.connection".into() };
        let router = router(Some(scripts));
        let sources = PAGE.split("<script src=\"").skip(1);
        for source in sources.filter_map(|rest| rest.split('"').next()) {
            if source == "/signalr/hubs" {
                continue;
            }
            let request = Request::get(source).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert!(response.status().is_success(), "{source}");
            assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
        }
    }

    #[tokio::test]
    async fn without_scripts_the_page_says_how_to_fetch_them() {
        let request = Request::get("/classic").body(Body::empty()).unwrap();
        let response = router(None).oneshot(request).await.unwrap();
        let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("npm install --prefix scripts jquery@3 signalr@2"), "{text}");
    }

    #[test]
    fn scripts_are_found_as_files_and_as_npm_installs_them() {
        let directory = tempfile::tempdir().unwrap();
        let error = Scripts::read(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("expected jquery.min.js in "), "{error}");
        fs::write(directory.path().join("jquery.js"), "$").unwrap();
        let error = Scripts::read(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("expected jquery.signalR.min.js in "), "{error}");
        let package = directory.path().join("node_modules/signalr");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("jquery.signalR.min.js"), "$.connection").unwrap();
        let scripts = Scripts::read(directory.path()).unwrap();
        assert_eq!((&scripts.jquery[..], &scripts.signalr[..]), (&b"$"[..], &b"$.connection"[..]));
    }
}
