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
}

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
    pub(crate) fn by_sha(&self, sha: Sha) -> Option<Arc<Script>> {
        self.by_sha.get(&sha).cloned()
    }

    pub(crate) fn by_text(&self, text: &[u8]) -> Option<Arc<Script>> {
        self.by_text.get(text).map(|found| found.0.clone())
    }

    pub(crate) fn add(&mut self, script: Arc<Script>) {
        if self.by_sha.insert(script.sha, script.clone()).is_none() {
            self.bytes += script.bytes();
            self.by_text.insert(ByText(script));
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
}
