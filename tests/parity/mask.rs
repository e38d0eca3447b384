//! Masks hide the parts of a reply that differ from run to run, before replies are compared.
//!
//! A conversation or a step names the masks that it needs. Without a mask, only the addresses of
//! the conversation's own clients are hidden. A mask hides values and keeps the shape, so all other
//! bytes are still compared.

use crate::frame::Frame;

/// A volatile property of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// `int`: the values of integers.
    Integers,
    /// `digits`: every run of digits in text and errors.
    Digits,
    /// `sorted`: the order of the items of an array or a set.
    Sorted,
    /// `scan`: the order of the keys that SCAN returns.
    Scan,
    /// `pairs`: the order of the pairs of a map, or of an array that takes the place of one.
    Pairs,
    /// `confirmations`: the order of names when a client unsubscribes from all of them.
    Confirmations,
    /// `any-order`: the order of several messages; Redis keeps patterns in a hash table.
    AnyOrder,
    /// `names`: the values of a map, or of an array that takes the place of one.
    Names,
    /// `shape`: all values; the types and counts stay.
    Shape,
    /// `length`: the bytes of bulk strings; their number stays.
    Length,
    /// `kind`: the whole reply except its type.
    Kind,
    /// `hello`: the version and the id in the reply to HELLO.
    Hello,
    /// `client-list`: ids, addresses, times and sizes in lines about clients.
    ClientList,
    /// `info`: the values of INFO; the names of sections and fields stay.
    Info,
    /// `monitor`: the time in a line of MONITOR.
    Monitor,
    /// `acl-log`: times and ids in entries of ACL LOG.
    AclLog,
    /// `subcommands`: the order of subcommands in entries of COMMAND INFO.
    Subcommands,
    /// `rules`: the order of the single commands in the rules of a user.
    Rules,
    /// `first-line`: the lines of a text after its first.
    FirstLine,
}

impl Mask {
    /// Returns the mask of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "int" => Self::Integers,
            "digits" => Self::Digits,
            "sorted" => Self::Sorted,
            "scan" => Self::Scan,
            "pairs" => Self::Pairs,
            "confirmations" => Self::Confirmations,
            "any-order" => Self::AnyOrder,
            "names" => Self::Names,
            "shape" => Self::Shape,
            "length" => Self::Length,
            "kind" => Self::Kind,
            "hello" => Self::Hello,
            "client-list" => Self::ClientList,
            "info" => Self::Info,
            "monitor" => Self::Monitor,
            "acl-log" => Self::AclLog,
            "subcommands" => Self::Subcommands,
            "rules" => Self::Rules,
            "first-line" => Self::FirstLine,
            _ => return None,
        })
    }

    /// Hides the volatile parts of the replies of one step.
    pub(crate) fn hide(self, frames: &mut [Frame]) {
        match self {
            Self::Confirmations => return sort_confirmations(frames),
            Self::AnyOrder => return frames.sort_by_cached_key(Frame::render),
            _ => {}
        }
        for frame in frames {
            self.hide_in(frame);
        }
    }

    fn hide_in(self, frame: &mut Frame) {
        match self {
            Self::Integers => frame.each_leaf(&mut |kind, text| {
                if kind == b':' {
                    *text = b"N".to_vec();
                }
            }),
            Self::Digits => frame.each_leaf(&mut |_, text| *text = without_digits(text)),
            Self::Sorted => sort_items(frame, 1),
            Self::Scan => each_item(frame, |item| sort_items(item, 1)),
            Self::Pairs => sort_items(frame, 2),
            Self::Confirmations | Self::AnyOrder => {}
            Self::Names => hide_values(frame, |_| true),
            Self::Shape => hide_leaves(frame),
            Self::Length => hide_bytes(frame),
            Self::Kind => *frame = Frame::Line(frame.kind(), b"...".to_vec()),
            Self::Hello => {
                hide_values(frame, |name| matches!(name, b"version" | b"id"));
                each_item(frame, |item| self.hide_in(item));
            }
            Self::ClientList => frame.each_leaf(&mut |_, text| *text = client_list(text)),
            Self::Info => frame.each_leaf(&mut |_, text| *text = info(text)),
            Self::Monitor => frame.each_leaf(&mut |_, text| *text = monitor(text)),
            Self::AclLog => each_item(frame, |entry| {
                hide_values(entry, |name| {
                    name == b"age-seconds" || name.starts_with(b"timestamp-")
                });
                entry.each_leaf(&mut |_, text| *text = client_list(text));
            }),
            Self::Subcommands => each_item(frame, |entry| {
                if let Frame::Items(_, fields) = entry
                    && let Some(subcommands) = fields.get_mut(SUBCOMMANDS_FIELD)
                {
                    sort_items(subcommands, 1);
                }
            }),
            Self::Rules => frame.each_leaf(&mut |_, text| *text = rules(text)),
            Self::FirstLine => frame.each_leaf(&mut |_, text| {
                text.truncate(text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len()));
            }),
        }
    }
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Line(kind, _) | Self::Bulk(kind, _) | Self::Items(kind, _) => *kind,
        }
    }
}

fn sort_items(frame: &mut Frame, size: usize) {
    if let Frame::Items(_, items) = frame {
        let mut groups: Vec<Vec<Frame>> = items.chunks(size).map(<[Frame]>::to_vec).collect();
        groups.sort_by_cached_key(|group| group.iter().map(Frame::render).collect::<Vec<_>>());
        *items = groups.concat();
    }
}

fn each_item(frame: &mut Frame, change: impl FnMut(&mut Frame)) {
    if let Frame::Items(_, items) = frame {
        items.iter_mut().for_each(change);
    }
}

/// Sorts the names and leaves the counts, which always go down one by one.
fn sort_confirmations(frames: &mut [Frame]) {
    let name = |frame: &Frame| match frame {
        Frame::Items(_, items) if items.len() == 3 => Some(items[1].clone()),
        _ => None,
    };
    let mut names: Vec<Frame> = frames.iter().filter_map(name).collect();
    names.sort_by_cached_key(Frame::render);
    for (frame, name) in frames.iter_mut().filter(|frame| name(frame).is_some()).zip(names) {
        if let Frame::Items(_, items) = frame {
            items[1] = name;
        }
    }
}

fn hide_values(frame: &mut Frame, hidden: impl Fn(&[u8]) -> bool) {
    let Frame::Items(_, items) = frame else { return };
    for pair in items.chunks_exact_mut(2) {
        if matches!(&pair[0], Frame::Bulk(_, name) | Frame::Line(_, name) if hidden(name)) {
            pair[1] = Frame::Line(b'+', b"...".to_vec());
        }
    }
}

fn hide_leaves(frame: &mut Frame) {
    match frame {
        Frame::Line(_, text) => *text = b"...".to_vec(),
        Frame::Bulk(kind, _) => *frame = Frame::Line(*kind, b"...".to_vec()),
        Frame::Items(_, items) => items.iter_mut().for_each(hide_leaves),
    }
}

fn hide_bytes(frame: &mut Frame) {
    match frame {
        Frame::Line(..) => {}
        Frame::Bulk(_, text) => text.fill(b'.'),
        Frame::Items(_, items) => items.iter_mut().for_each(hide_bytes),
    }
}

fn without_digits(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = text.to_vec();
    kept.dedup_by(|next, before| next.is_ascii_digit() && before.is_ascii_digit());
    kept.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'N');
    kept
}

/// Lines of `name=value`: hides the values that differ from run to run.
fn client_list(text: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
    if !text.contains("id=") || !text.contains("addr=") {
        return text.as_bytes().to_vec();
    }
    let (format, text) = text.split_at(if text.starts_with(VERBATIM) { VERBATIM.len() } else { 0 });
    let field = |field: &str| match field.split_once('=') {
        Some((name, _)) if CLIENT_VOLATILE.contains(&name) => format!("{name}=..."),
        Some(("redir", id)) if !["-1", "0"].contains(&id) => "redir=...".into(),
        _ => field.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(field).collect::<Vec<_>>().join(" ");
    let lines = text.split('\n').map(line).collect::<Vec<_>>().join("\n");
    format!("{format}{lines}").into_bytes()
}

/// Lines of `name:value`: hides the values and keeps the names.
fn info(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| match line.split_once(':') {
        Some((name, _)) if !line.contains("# ") => format!("{name}:..."),
        _ => line.to_owned(),
    };
    text.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// Sorts runs of words like `+ping -echo`; `+@all` and other words keep their place.
fn rules(text: &[u8]) -> Vec<u8> {
    let is_command = |word: &&[u8]| matches!(word, [b'+' | b'-', next, ..] if *next != b'@');
    let mut words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    for run in words.chunk_by_mut(|one, other| is_command(one) && is_command(other)) {
        run.sort_unstable();
    }
    words.join(&b' ')
}

/// `1700000000.123456 [0 127.0.0.1:5000] "PING"`
fn monitor(text: &[u8]) -> Vec<u8> {
    let stamp = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    if stamp < 12 {
        return text.to_vec();
    }
    [b"TIME", &text[stamp..]].concat()
}

/// The index of the subcommands in an entry of COMMAND INFO.
const SUBCOMMANDS_FIELD: usize = 9;

/// The format in front of the text of a verbatim string.
const VERBATIM: &str = "txt:";

/// Fields that differ between two servers, or two runs, with the same requests.
const CLIENT_VOLATILE: &[&str] = &[
    "id",
    "addr",
    "laddr",
    "fd",
    "age",
    "idle",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "tot-net-in",
    "tot-net-out",
    "tot-cmds",
    "tot-msgs-in",
    "tot-msgs-out",
    "omem-peak",
    "lag",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mask: Mask, from: &str, to: &str) {
        let mut frames = [Frame::parse(from.as_bytes()).unwrap().unwrap().0];
        mask.hide(&mut frames);
        assert_eq!(String::from_utf8(frames[0].render()).unwrap(), to);
    }

    #[test]
    fn a_mask_hides_only_the_parts_that_it_names() {
        check(Mask::Integers, "*2\r\n:12\r\n$1\r\na\r\n", "*2\r\n:N\r\n$1\r\na\r\n");
        check(Mask::Digits, "$5\r\na12b3\r\n", "$4\r\naNbN\r\n");
        check(Mask::Sorted, "*2\r\n+b\r\n+a\r\n", "*2\r\n+a\r\n+b\r\n");
        check(Mask::Names, "*2\r\n+b\r\n+a\r\n", "*2\r\n+b\r\n+...\r\n");
        check(Mask::Kind, "*2\r\n+b\r\n+a\r\n", "*...\r\n");
        check(Mask::Info, "$11\r\n# S\r\na:b\r\nc\r\n", "$13\r\n# S\r\na:...\r\nc\r\n");
        check(
            Mask::ClientList,
            "$18\r\nid=3 addr=x name=a\r\n",
            "$22\r\nid=... addr=... name=a\r\n",
        );
    }
}
