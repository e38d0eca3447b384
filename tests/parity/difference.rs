//! The deliberate differences, one row each, and the rows that are still needed.
//!
//! A row names conversations and steps, with `*` for any text. It either lists additions of our
//! replies (`drop`, `drop-pair`), of those of Redis (`redis-drop`, `redis-drop-pair`) or of either
//! (`ignore`, `ignore-item`), which are removed before the comparison, or gives both replies
//! (`ours`, `redis`, again with `*`). A row that no conversation needs fails the test, so it must
//! be deleted. `since` names the later release of Redis that our reply follows, if there is one.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::frame::Frame;
use crate::transcript::Shown;

/// A deliberate difference between our broker and Redis.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    conversation: String,
    step: String,
    ours: Option<String>,
    redis: Option<String>,
    only_ours: Additions,
    only_redis: Additions,
    reason: String,
    /// The release of Redis that has introduced our reply.
    pub(crate) since: Option<String>,
    shows: AtomicBool,
}

/// Parts that only the replies of one of the servers contain.
#[derive(Debug, Default)]
struct Additions {
    /// Texts of lines and bulk strings.
    texts: Vec<String>,
    /// Names of pairs of maps.
    pairs: Vec<String>,
    /// Items of arrays and sets.
    items: Vec<String>,
}

/// One step with different replies.
#[derive(Clone, Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) conversation: &'a str,
    /// The number of the step in its conversation.
    pub(crate) index: usize,
    pub(crate) step: &'a str,
    pub(crate) ours: Shown,
    pub(crate) redis: Shown,
}

/// Reads the rows: `== name`, then lines `key: value`.
///
/// # Errors
///
/// When a line has another form, or a row lacks a line.
pub(crate) fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = || format!("differences.txt:{}: expected a row, found {line:?}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            rows.push(Row { name: name.into(), ..Row::default() });
            continue;
        }
        let row = rows.last_mut().ok_or_else(wrong)?;
        let (key, value) = line.split_once(": ").ok_or_else(wrong)?;
        match key {
            "conversation" => row.conversation = value.into(),
            "step" => row.step = value.into(),
            "ours" => row.ours = Some(value.into()),
            "redis" => row.redis = Some(value.into()),
            "drop" => row.only_ours.texts.push(unescaped(value)),
            "drop-pair" => row.only_ours.pairs.push(value.into()),
            "redis-drop" => row.only_redis.texts.push(unescaped(value)),
            "redis-drop-pair" => row.only_redis.pairs.push(value.into()),
            "ignore" => {
                row.only_ours.texts.push(unescaped(value));
                row.only_redis.texts.push(unescaped(value));
            }
            "ignore-item" => {
                row.only_ours.items.push(value.into());
                row.only_redis.items.push(value.into());
            }
            "reason" => row.reason = value.into(),
            "since" => row.since = Some(value.into()),
            _ => return Err(wrong()),
        }
    }
    match rows.iter().find(|row| !row.is_complete()) {
        Some(row) => Err(format!("the row {:?} lacks a line", row.name)),
        None => Ok(rows),
    }
}

/// Returns the rows that cover this difference, and marks them as needed.
///
/// # Errors
///
/// When no row covers a part of it. Returns this part.
pub(crate) fn named<'r, 'a>(
    rows: impl IntoIterator<Item = &'r Row>,
    at: Difference<'a>,
) -> Result<Vec<&'r Row>, Box<Difference<'a>>> {
    let about =
        |row: &&Row| matches(&row.conversation, at.conversation) && matches(&row.step, at.step);
    let rows: Vec<&Row> = rows.into_iter().filter(about).collect();
    let (mut ours, mut redis) = (at.ours.clone(), at.redis.clone());
    let mut needed: Vec<&Row> = Vec::new();
    for row in &rows {
        let before = (ours.clone(), redis.clone());
        ours.frames.iter_mut().for_each(|frame| row.only_ours.drop_from(frame));
        redis.frames.iter_mut().for_each(|frame| row.only_redis.drop_from(frame));
        if (&ours, &redis) != (&before.0, &before.1) {
            needed.push(row);
        }
    }
    if ours != redis {
        let (ours_text, redis_text) = (ours.to_string(), redis.to_string());
        match rows.iter().find(|row| row.covers(&ours_text, &redis_text)) {
            Some(row) => needed.push(row),
            None => return Err(Box::new(Difference { ours, redis, ..at })),
        }
    }
    needed.iter().for_each(|row| row.shows.store(true, Ordering::Relaxed));
    Ok(needed)
}

/// Returns the rows that no conversation needed.
pub(crate) fn idle(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| !row.shows.load(Ordering::Relaxed)).collect()
}

impl Row {
    fn is_complete(&self) -> bool {
        let drops = !self.only_ours.is_empty() || !self.only_redis.is_empty();
        let is_about = !self.conversation.is_empty() && !self.step.is_empty();
        is_about && !self.reason.is_empty() && (self.replaces() || drops)
    }

    /// Returns true if the row gives both replies, so that they are not compared.
    pub(crate) fn replaces(&self) -> bool {
        self.ours.is_some() && self.redis.is_some()
    }

    fn covers(&self, ours: &str, redis: &str) -> bool {
        let fits = |pattern: &Option<String>, text| {
            pattern.as_deref().is_some_and(|pattern| matches(pattern, text))
        };
        fits(&self.ours, ours) && fits(&self.redis, redis)
    }
}

impl Additions {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.pairs.is_empty() && self.items.is_empty()
    }

    fn drop_from(&self, frame: &mut Frame) {
        match frame {
            Frame::Items(_, items) => {
                items.retain(|item| {
                    let Frame::Bulk(_, text) = item else { return true };
                    !self.items.iter().any(|dropped| dropped.as_bytes() == text)
                });
                let mut at = 0;
                while at + 1 < items.len() {
                    let is_dropped = matches!(&items[at], Frame::Bulk(_, name)
                        if self.pairs.iter().any(|dropped| dropped.as_bytes() == name));
                    match is_dropped {
                        true => drop(items.drain(at..at + 2)),
                        false => at += 2,
                    }
                }
                items.iter_mut().for_each(|item| self.drop_from(item));
            }
            Frame::Line(_, text) | Frame::Bulk(_, text) => {
                if let Ok(whole) = std::str::from_utf8(text) {
                    let dropped = |whole: String, part: &String| whole.replace(part, "");
                    *text = self.texts.iter().fold(whole.to_owned(), dropped).into_bytes();
                }
            }
        }
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\s", " ")
}

/// `*` matches any text, all other characters match themselves.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Shown {
        let (frame, _) = Frame::parse(bytes).unwrap().unwrap();
        Shown { frames: vec![frame], ..Shown::default() }
    }

    #[test]
    fn a_star_matches_any_text() {
        assert!(matches("a*c*", "abcd") && matches("*", "") && matches("a", "a"));
        assert!(!matches("a*c", "abcd") && !matches("a", "ab") && !matches("a*a", "a"));
    }

    #[test]
    fn a_row_is_idle_until_a_difference_needs_it() {
        let text = "== x\nconversation: c*\nstep: *\nours: :1*\nredis: :2*\nreason: r\n";
        let rows = read(text).unwrap();
        let (ours, redis) = (shown(b":1\r\n"), shown(b":2\r\n"));
        assert_eq!(idle(&rows).len(), 1);
        let at = Difference { conversation: "cc", index: 0, step: "", ours, redis };
        assert!(named(&rows, at).is_ok());
        assert_eq!(idle(&rows).len(), 0);
        assert!(read("== x\nconversation: c\n").is_err());
    }

    #[test]
    fn a_reply_without_its_dropped_parts_is_still_compared() {
        let text = "== x\nconversation: *\nstep: *\ndrop-pair: a\ndrop: \\sz\nredis-drop: \\sy\nreason: r\n";
        let rows = read(text).unwrap();
        let check = |ours: &[u8], redis: &[u8], named| {
            let (ours, redis) = (shown(ours), shown(redis));
            let at = Difference { conversation: "", index: 0, step: "", ours, redis };
            assert_eq!(super::named(&rows, at).is_ok(), named);
        };
        check(b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", b"*2\r\n$1\r\nb\r\n:2\r\n", true);
        check(b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", b"*2\r\n$1\r\nb\r\n:3\r\n", false);
        check(b"$3\r\na z\r\n", b"$1\r\na\r\n", true);
        check(b"$1\r\na\r\n", b"$3\r\na y\r\n", true);
        check(b"$1\r\na\r\n", b"$3\r\na z\r\n", false);
    }

    #[test]
    fn an_ignored_part_may_be_in_either_reply() {
        let text = "== x\nconversation: *\nstep: *\nignore: a\\s\nignore-item: z\nreason: r\n";
        let rows = read(text).unwrap();
        let check = |ours: &[u8], redis: &[u8], is_named| {
            let (ours, redis) = (shown(ours), shown(redis));
            let at = Difference { conversation: "", index: 0, step: "", ours, redis };
            assert_eq!(named(&rows, at).is_ok(), is_named);
        };
        check(b"$3\r\na b\r\n", b"$1\r\nb\r\n", true);
        check(b"$1\r\nb\r\n", b"$3\r\na b\r\n", true);
        check(b"*2\r\n$1\r\nb\r\n$1\r\nz\r\n", b"*1\r\n$1\r\nb\r\n", true);
        check(b"*2\r\n$1\r\nb\r\n$1\r\nz\r\n", b"*1\r\n$1\r\nc\r\n", false);
    }
}
