//! Flags of the command line, as lines of redis.conf.

use crate::protocol::words;

/// Converts flags into lines by Redis' rule. The word after a flag is its value, even if it begins
/// with `--`. Later words are further values, up to the next word that begins with `--`.
pub(super) fn lines_of<T: AsRef<[u8]>>(flags: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut has_value = true;
    let mut flags = flags.into_iter().peekable();
    while let Some(flag) = flags.next() {
        let flag = flag.as_ref();
        match flag.strip_prefix(b"--") {
            Some(name) if has_value => {
                if !lines.is_empty() {
                    lines.push(b'\n');
                }
                lines.extend_from_slice(name);
                // A flag may contain its values, as in '--maxmemory 700mb'.
                has_value = words::split(name).is_ok_and(|words| words.len() > 1);
                // `--save` without a value means `save ""`.
                let next = flags.peek().map(AsRef::as_ref);
                if name.eq_ignore_ascii_case(b"save")
                    && next.is_none_or(|next| next.starts_with(b"--"))
                {
                    lines.extend_from_slice(b" \"\"");
                    has_value = true;
                }
            }
            _ => {
                lines.push(b' ');
                lines.extend_from_slice(words::quote(flag).as_bytes());
                has_value = true;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_lines_as_in_redis() {
        for (flags, expected) in [
            (&["--port", "7000", "--loglevel", "debug"][..], "port \"7000\"\nloglevel \"debug\""),
            (&["--port", "6379", "6380"], "port \"6379\" \"6380\""),
            (&["--port", "--loglevel", "verbose"], "port \"--loglevel\" \"verbose\""),
            (&["--port", "--bla", "--loglevel", "verbose"], "port \"--bla\"\nloglevel \"verbose\""),
            (&["--maxmemory 700mb", "--port", "1"], "maxmemory 700mb\nport \"1\""),
            (&["--save", "--port", "1"], "save \"\"\nport \"1\""),
            (&["--save", ""], "save \"\""),
            (&["--port"], "port"),
        ] {
            assert_eq!(String::from_utf8(lines_of(flags)).unwrap(), expected, "{flags:?}");
        }
    }
}
