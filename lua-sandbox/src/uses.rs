//! The compiled scripts of a virtual machine, by when they last ran.

use std::collections::HashMap;

use super::Script;

/// Number of compiled scripts that are kept, as in Redis 7.4 for scripts of `EVAL`.
const SCRIPTS_MAX: usize = 500;
/// Bytes of their sources. A compiled script takes several times its source, and all of them share
/// the memory of running scripts.
const SOURCE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Compiled scripts and their last uses.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    scripts: HashMap<Box<[u8]>, Use>,
    bytes: usize,
    now: u64,
}

#[derive(Debug)]
struct Use {
    last: u64,
    bytes: usize,
}

impl Uses {
    /// Records a use of a compiled script.
    pub(crate) fn record(&mut self, script: Script<'_>) {
        self.now += 1;
        let last = self.now;
        if let Some(known) = self.scripts.get_mut(script.sha) {
            known.last = last;
            return;
        }
        let bytes = script.code.len();
        self.bytes += bytes;
        self.scripts.insert(script.sha.into(), Use { last, bytes });
    }

    /// Removes the script that has not run for longest, if a new one of `bytes` has no room.
    pub(crate) fn oldest_beyond(&mut self, bytes: usize) -> Option<Box<[u8]>> {
        if self.scripts.len() < SCRIPTS_MAX && self.bytes + bytes <= SOURCE_BYTES_MAX {
            return None;
        }
        let (oldest, _) = self.scripts.iter().min_by_key(|(_, used)| used.last)?;
        let oldest = oldest.clone();
        let removed = self.scripts.remove(&oldest)?;
        self.bytes -= removed.bytes;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script<'a>(sha: &'a str, code: &'a [u8]) -> Script<'a> {
        Script { sha: sha.as_bytes(), code }
    }

    #[test]
    fn the_script_that_has_not_run_for_longest_makes_room() {
        let mut uses = Uses::default();
        for number in 0..SCRIPTS_MAX {
            assert!(uses.oldest_beyond(1).is_none());
            uses.record(script(&number.to_string(), b"x"));
        }
        uses.record(script("0", b"x"));
        assert_eq!(uses.oldest_beyond(1).as_deref(), Some(&b"1"[..]));
        assert!(uses.oldest_beyond(1).is_none());
    }

    #[test]
    fn large_sources_make_room_for_each_other() {
        let mut uses = Uses::default();
        let code = vec![b' '; SOURCE_BYTES_MAX / 2];
        uses.record(script("a", &code));
        uses.record(script("b", &code));
        assert_eq!(uses.oldest_beyond(1).as_deref(), Some(&b"a"[..]));
        assert!(uses.oldest_beyond(1).is_none());
    }
}
