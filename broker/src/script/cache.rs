//! The cached scripts of a server, by SHA1 and by text.
//!
//! The index by text finds the script of an `EVAL` without computing the SHA1.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::flags::Flags;
use super::native::Native;
use super::sha::Sha;

/// A cached script.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) sha: Sha,
    pub(crate) flags: Flags,
    /// The native code that runs in place of the script, if there is one.
    pub(crate) native: Option<Native>,
    text: Box<[u8]>,
    code_start: usize,
}

/// All scripts of a server.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    by_sha: HashMap<Sha, Arc<Script>, RandomState>,
    by_text: HashSet<ByText, RandomState>,
    bytes: usize,
    /// The last uses of scripts that came with `EVAL`. Those of `SCRIPT LOAD` stay.
    evaluated: HashMap<Sha, u64, RandomState>,
    uses: u64,
}

/// The number of scripts of `EVAL` that are kept, as in Redis 7.4. The one that has not run for
/// longest makes room.
const EVALUATED_MAX: usize = 500;

#[derive(Debug)]
struct ByText(Arc<Script>);

impl Script {
    /// Parses the first line of a script.
    ///
    /// # Errors
    ///
    /// Returns the text of Redis' error reply if the first line is invalid.
    pub(crate) fn new(text: &[u8]) -> Result<Self, Vec<u8>> {
        let (flags, code_start) = Flags::read(text)?;
        Ok(Self {
            sha: Sha::of(text),
            flags,
            native: Native::of(text),
            text: text.into(),
            code_start,
        })
    }

    /// Returns the text without the line of flags.
    #[cfg_attr(not(feature = "lua"), expect(dead_code, reason = "only Lua reads it"))]
    pub(crate) fn code(&self) -> &[u8] {
        &self.text[self.code_start..]
    }

    fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

impl Cache {
    pub(crate) fn by_sha(&mut self, sha: Sha) -> Option<Arc<Script>> {
        let found = self.by_sha.get(&sha).cloned()?;
        self.record_use(sha);
        Some(found)
    }

    pub(crate) fn by_text(&mut self, text: &[u8]) -> Option<Arc<Script>> {
        let found = self.by_text.get(text).map(|found| found.0.clone())?;
        self.record_use(found.sha);
        Some(found)
    }

    fn record_use(&mut self, sha: Sha) {
        self.uses += 1;
        if let Some(last) = self.evaluated.get_mut(&sha) {
            *last = self.uses;
        }
    }

    /// Adds a script that came with `EVAL`.
    pub(crate) fn add(&mut self, script: Arc<Script>) {
        let sha = script.sha;
        if self.insert(script) {
            if self.evaluated.len() >= EVALUATED_MAX
                && let Some(oldest) = self.evaluated.iter().min_by_key(|(_, last)| **last)
            {
                let oldest = *oldest.0;
                self.evaluated.remove(&oldest);
                self.remove(oldest);
            }
            self.uses += 1;
            self.evaluated.insert(sha, self.uses);
        }
    }

    /// Adds a script of `SCRIPT LOAD`, which stays until `SCRIPT FLUSH`.
    pub(crate) fn keep(&mut self, script: Arc<Script>) {
        self.evaluated.remove(&script.sha);
        self.insert(script);
    }

    fn insert(&mut self, script: Arc<Script>) -> bool {
        let is_new = self.by_sha.insert(script.sha, script.clone()).is_none();
        if is_new {
            self.bytes += script.bytes();
            self.by_text.insert(ByText(script));
        }
        is_new
    }

    fn remove(&mut self, sha: Sha) {
        if let Some(script) = self.by_sha.remove(&sha) {
            self.bytes -= script.bytes();
            self.by_text.remove(&*script.text);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_sha.len()
    }

    /// Returns the memory of all scripts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Borrow<[u8]> for ByText {
    fn borrow(&self) -> &[u8] {
        &self.0.text
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_by_name_and_by_text() {
        let mut cache = Cache::default();
        let script = Arc::new(Script::new(b"return 1").unwrap());
        cache.add(script.clone());
        cache.add(script.clone());
        assert_eq!(cache.len(), 1);
        assert!(cache.by_text(b"return 1").is_some());
        assert!(cache.by_text(b"return 2").is_none());
        assert!(cache.by_sha(script.sha).is_some());
        assert!(cache.bytes() > 8);
    }

    #[test]
    fn scripts_of_eval_make_room_for_each_other_and_loaded_ones_stay() {
        let script =
            |number: usize| Arc::new(Script::new(format!("return {number}").as_bytes()).unwrap());
        let mut cache = Cache::default();
        cache.add(script(0));
        cache.keep(script(0));
        (1..=EVALUATED_MAX).for_each(|number| cache.add(script(number)));
        assert!(cache.by_text(b"return 1").is_some());
        let bytes = cache.bytes();
        cache.add(script(900));
        assert!(cache.by_text(b"return 0").is_some(), "it was loaded");
        assert!(cache.by_text(b"return 1").is_some(), "it was used last");
        assert!(cache.by_text(b"return 2").is_none());
        assert_eq!(cache.len(), EVALUATED_MAX + 1);
        assert_eq!(cache.bytes(), bytes + "return 900".len() - "return 2".len());
    }
}
