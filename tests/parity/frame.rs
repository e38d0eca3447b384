//! One reply or push, decoded just enough to mask its volatile values.
//!
//! Rendering a frame returns the bytes it was parsed from, so comparing rendered frames compares
//! bytes. Masks change the leaves, and rendering computes the lengths again. A frame keeps its type
//! byte and has no protocol version. Bytes with an unknown type do not parse.
//!
//! `resp::value::Part` is the parser. A mistake of it does not hide a difference, since both servers'
//! bytes pass through the same parser and return unchanged.

use resp::value::{Limits, Part};

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
        // The aggregates that miss items, and their number of items.
        let mut open: Vec<(u8, Vec<Self>, usize)> = Vec::new();
        let mut end = 0;
        while let Some((part, length)) =
            Part::decode(&bytes[end..], &Limits::default()).map_err(|error| error.to_string())?
        {
            end += length;
            let mut frame = match part {
                Part::Line { kind, text } => Self::Line(kind, text.to_vec()),
                Part::Bulk { kind, data } => Self::Bulk(kind, data.to_vec()),
                Part::Header { kind, items: 0 } => Self::Items(kind, Vec::new()),
                Part::Header { kind, items } => {
                    open.push((kind, Vec::new(), items));
                    continue;
                }
            };
            loop {
                let Some((_, items, count)) = open.last_mut() else {
                    return Ok(Some((frame, end)));
                };
                items.push(frame);
                if items.len() < *count {
                    break;
                }
                let Some((kind, items, _)) = open.pop() else { break };
                frame = Self::Items(kind, items);
            }
        }
        Ok(None)
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
            Self::Line(kind, text) => Part::Line { kind: *kind, text }.encode(bytes),
            Self::Bulk(kind, data) => Part::Bulk { kind: *kind, data }.encode(bytes),
            Self::Items(kind, items) => {
                Part::Header { kind: *kind, items: items.len() }.encode(bytes);
                items.iter().for_each(|item| item.render_to(bytes));
            }
        }
    }
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
