//! The flags in the first line of a script: `#!lua flags=no-writes,allow-oom`.
//!
//! A script without such a line has all permissions, and each of its commands is checked separately.
//! Before Redis 7 this was true of every script.

use crate::protocol::words;

/// The flags of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Whether the script has a line of flags.
    pub(crate) declared: bool,
    pub(crate) no_writes: bool,
    pub(crate) allow_oom: bool,
}

impl Flags {
    /// Parses the first line of `text`. Returns the flags and the start of the code, which is the end
    /// of that line. So all lines keep their numbers.
    ///
    /// # Errors
    ///
    /// Returns the text of Redis' error reply if the line is invalid.
    pub(crate) fn read(text: &[u8]) -> Result<(Self, usize), Vec<u8>> {
        if !text.starts_with(b"#!") {
            return Ok((Self::default(), 0));
        }
        // A NUL ends the text, as in C.
        let end = match memchr::memchr2(b'\n', 0, text) {
            Some(end) if text[end] == b'\n' => end,
            _ => return Err(b"ERR Invalid script shebang".to_vec()),
        };
        let words = words::split(&text[..end]).unwrap_or_default();
        let Some((engine, options)) = words.split_first() else {
            return Err(b"ERR Invalid engine in script shebang".to_vec());
        };
        if engine != b"#!lua" {
            return Err([b"ERR Unexpected engine in script shebang: ", &**engine].concat());
        }
        let mut flags = Self { declared: true, ..Self::default() };
        for option in options {
            let Some(names) = option.strip_prefix(b"flags=") else {
                return Err([b"ERR Unknown lua shebang option: ", &**option].concat());
            };
            if names.is_empty() {
                continue;
            }
            for name in names.split(|&byte| byte == b',') {
                flags.add(name)?;
            }
        }
        Ok((flags, end))
    }

    /// Returns whether the script must not start when keys exceed `maxmemory`.
    pub(crate) fn needs_memory(self) -> bool {
        self.declared && !self.allow_oom && !self.no_writes
    }

    fn add(&mut self, name: &[u8]) -> Result<(), Vec<u8>> {
        match name {
            b"no-writes" => self.no_writes = true,
            b"allow-oom" => self.allow_oom = true,
            // Flags for replicas and clusters have no effect.
            b"allow-stale" | b"no-cluster" | b"allow-cross-slot-keys" => {}
            _ => return Err([b"ERR Unexpected flag in script shebang: ", name].concat()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(bool, bool, bool), &str>) {
        let found = Flags::read(text.as_bytes());
        let found = found.map(|(flags, _)| (flags.declared, flags.no_writes, flags.allow_oom));
        assert_eq!(found, expected.map_err(|error| error.as_bytes().to_vec()), "{text:?}");
    }

    #[test]
    fn first_lines() {
        check("return 1", Ok((false, false, false)));
        check("#!lua\nreturn 1", Ok((true, false, false)));
        check("#!lua flags=\nreturn 1", Ok((true, false, false)));
        check("#!lua flags=no-writes,allow-oom\nx", Ok((true, true, true)));
        check("#!lua flags=allow-stale flags=no-writes\nx", Ok((true, true, false)));
        check("#!lua", Err("ERR Invalid script shebang"));
        check("#!lua \0\nx", Err("ERR Invalid script shebang"));
        check("#!\"lua\nx", Err("ERR Invalid engine in script shebang"));
        check("#!python\nx", Err("ERR Unexpected engine in script shebang: #!python"));
        check("#!lua name=x\nx", Err("ERR Unknown lua shebang option: name=x"));
        check("#!lua flags=a,b\nx", Err("ERR Unexpected flag in script shebang: a"));
    }

    #[test]
    fn code_keeps_its_line_numbers() {
        assert_eq!(Flags::read(b"#!lua\nreturn 1").unwrap().1, 5);
        assert_eq!(Flags::read(b"return 1").unwrap().1, 0);
    }
}
