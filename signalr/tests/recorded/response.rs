//! A response of HTTP, with the parts that two servers have in common.
//!
//! Names of headers are in lower case and sorted. Headers of the framing, `Date` and `Server` are
//! left out, and chunks are joined: none of these changes the meaning.

use std::slice;

use crate::{bytes, pipe::Received};

#[derive(Debug, Default)]
pub(crate) struct Response {
    status: String,
    headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Parses a response, or returns `None` if its head is not complete.
    pub(crate) fn parse(received: &Received) -> Option<Self> {
        let end = received.bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&received.bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.to_owned();
        let lines = lines.filter_map(|line| line.split_once(": "));
        let mut headers: Vec<(String, &str)> =
            lines.map(|(name, value)| (name.to_lowercase(), value)).collect();
        let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        headers.retain(|(name, _)| !UNCOMPARED.contains(&name.as_str()));
        headers.sort();
        let headers = headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = &received.bytes[end + 4..];
        let body = if is_chunked { joined(body) } else { body.to_vec() };
        Some(Self { status, headers, body })
    }

    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// Shows the response without its body.
    pub(crate) fn outline(&self) -> String {
        [slice::from_ref(&self.status), &self.headers].concat().join(" | ")
    }

    pub(crate) fn show(&self) -> String {
        let mut parts = vec![self.outline()];
        if !self.body.is_empty() && !self.status.starts_with("101 ") {
            parts.push(show_body(&self.body));
        }
        parts.join(" | ")
    }
}

/// Shows a body. Messages may come in one event or in several, so events of data are joined.
pub(crate) fn show_body(body: &[u8]) -> String {
    bytes::escape_bytes(body).replace(r"␞\r\n\r\ndata: ", "␞")
}

/// Joins the chunks of a body, also if the last one is not complete.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let start = end + 2;
        joined.extend_from_slice(&body[start..body.len().min(start + size)]);
        body = body.get(start + size + 2..).unwrap_or_default();
    }
    joined
}

const UNCOMPARED: [&str; 5] =
    ["connection", "content-length", "date", "server", "transfer-encoding"];
