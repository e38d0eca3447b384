//! One reply or push, decoded just enough to mask its volatile values.
//!
//! Rendering a frame returns the bytes it was parsed from, so comparing rendered frames compares
//! bytes. Masks change the leaves, and rendering computes the lengths again. A frame keeps its type
//! byte and has no protocol version. Bytes with an unknown type do not parse.

/// A reply, a push, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `+ - : _ # , (` and the rest of the line.
    Line(u8, Vec<u8>),
    /// `$ = !` and as many bytes as announced.
    Bulk(u8, Vec<u8>),
    /// `* ~ > % |` and the items; keys and values of a map alternate.
    Items(u8, Vec<Frame>),
}

impl Frame {
    /// Parses the first frame of these bytes and returns it with its length, if it is complete.
    ///
    /// # Errors
    ///
    /// When the bytes are not RESP, or rendering would not return the same bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let (kind, text, body) = match bytes[..end].split_first() {
            Some((kind, text)) => (*kind, text, end + 2),
            None => return Err("an empty line".into()),
        };
        match (kind, text) {
            (b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(', _) | (b'$' | b'*', b"-1") => {
                Ok(Some((Self::Line(kind, text.to_vec()), body)))
            }
            (b'$' | b'=' | b'!', _) => Ok(bulk(bytes, kind, length(text)?, body)),
            (b'*' | b'~' | b'>', _) => items(bytes, kind, length(text)?, body),
            (b'%' | b'|', _) => items(bytes, kind, 2 * length(text)?, body),
            _ => Err(format!("a line that starts with {:?}", char::from(kind))),
        }
    }

    /// Returns the bytes of the frame.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.render_to(&mut bytes);
        bytes
    }

    /// Returns true if no further confirmation follows: for an error, and for a queued command.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Line(kind, text) => *kind == b'-' || text == b"QUEUED",
            _ => false,
        }
    }

    /// Calls the function with every line and bulk, in the order of the wire.
    pub(crate) fn each_leaf(&mut self, change: &mut impl FnMut(u8, &mut Vec<u8>)) {
        match self {
            Self::Line(kind, text) | Self::Bulk(kind, text) => change(*kind, text),
            Self::Items(_, items) => items.iter_mut().for_each(|item| item.each_leaf(change)),
        }
    }

    fn render_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Line(kind, text) => {
                bytes.push(*kind);
                bytes.extend_from_slice(text);
            }
            Self::Bulk(kind, text) => {
                bytes.push(*kind);
                bytes.extend_from_slice(text.len().to_string().as_bytes());
                bytes.extend_from_slice(b"\r\n");
                bytes.extend_from_slice(text);
            }
            Self::Items(kind, items) => {
                let is_pairs = matches!(kind, b'%' | b'|');
                let count = if is_pairs { items.len() / 2 } else { items.len() };
                bytes.push(*kind);
                bytes.extend_from_slice(count.to_string().as_bytes());
                bytes.extend_from_slice(b"\r\n");
                items.iter().for_each(|item| item.render_to(bytes));
                return;
            }
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

fn bulk(bytes: &[u8], kind: u8, length: usize, body: usize) -> Option<(Frame, usize)> {
    let end = body + length;
    let text = bytes.get(body..end)?;
    bytes.get(end..end + 2)?;
    Some((Frame::Bulk(kind, text.to_vec()), end + 2))
}

fn items(
    bytes: &[u8],
    kind: u8,
    count: usize,
    body: usize,
) -> Result<Option<(Frame, usize)>, String> {
    let mut items = Vec::new();
    let mut end = body;
    for _ in 0..count {
        let Some((item, length)) = Frame::parse(&bytes[end..])? else { return Ok(None) };
        items.push(item);
        end += length;
    }
    Ok(Some((Frame::Items(kind, items), end)))
}

fn length(text: &[u8]) -> Result<usize, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
    number
        .filter(|number| number.to_string().as_bytes() == text)
        .ok_or_else(|| format!("a length of \"{}\"", text.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_renders_the_bytes_it_was_parsed_from() {
        for text in
            ["+OK\r\n", "$-1\r\n", "_\r\n", "*0\r\n", "%1\r\n$1\r\na\r\n:1\r\n", ">1\r\n#t\r\n"]
        {
            let (frame, length) = Frame::parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!((frame.render(), length), (text.as_bytes().to_vec(), text.len()));
        }
    }

    #[test]
    fn an_incomplete_frame_is_no_error_but_invalid_bytes_are() {
        assert_eq!(Frame::parse(b"*1\r\n$3\r\nab"), Ok(None));
        assert!(Frame::parse(b"$03\r\nabc\r\n").is_err());
        assert!(Frame::parse(b"hello\r\n").is_err());
    }
}
