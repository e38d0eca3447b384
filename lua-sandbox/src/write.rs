//! Encodes the parts of replies that only scripts return.

use resp::{Protocol, number, reply};

/// Maximum bytes of a reply without its text, or of a number with its type and line end.
pub(super) const HEAD_BYTES: usize = 64;

/// Appends a line. Replaces line ends inside it, since a client would parse the rest as another reply.
pub(super) fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    one_line(out, text);
    out.extend_from_slice(b"\r\n");
}

/// Appends `text` with blanks in place of line ends.
pub(super) fn one_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
}

/// Appends the header of a reply with parts.
pub(super) fn header(out: &mut Vec<u8>, kind: u8, count: usize) {
    line(out, kind, itoa::Buffer::new().format(count).as_bytes());
}

pub(super) fn double(out: &mut Vec<u8>, protocol: Protocol, value: f64) {
    let text = number::double(value);
    match protocol {
        Protocol::Resp2 => reply::bulk(out, text.as_bytes()),
        Protocol::Resp3 => line(out, b',', text.as_bytes()),
    }
}

/// Appends a verbatim string. Its format has three characters.
pub(super) fn verbatim(out: &mut Vec<u8>, format: &[u8], text: &[u8]) {
    header(out, b'=', text.len() + 4);
    let format = format.split(|&byte| byte == 0).next().unwrap_or(format);
    out.extend((0..3).map(|at| format.get(at).copied().unwrap_or(b' ')));
    out.push(b':');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
