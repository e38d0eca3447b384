//! One set of permissions: commands, and the keys and channels that they may use.
//!
//! One selector must allow the whole request; permissions of two selectors are not combined. Patterns
//! stay in the order of their rules, each once.

use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet};

use super::commands::Commands;
use super::rule::{self, RuleError};
use super::{Access, ChannelUse, ChannelsDefault, KeyUse};
use crate::glob;
use crate::protocol::words;

/// One set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    commands: Commands,
    keys: Patterns<KeyPatterns>,
    channels: Patterns<ChannelPatterns>,
}

/// The part of a request that is denied. Later variants are preferred, since they imply that the
/// parts before them are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    Command,
    /// The index of the key in the request.
    Key(usize),
    /// The index of the channel in the request.
    Channel(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Patterns<P> {
    All,
    Some(P),
}

/// Patterns of keys, each with the permitted uses of its keys.
type KeyPatterns = IndexMap<Vec<u8>, KeyUse, RandomState>;
pub(super) type ChannelPatterns = IndexSet<Vec<u8>, RandomState>;

impl Selector {
    /// Creates a selector that allows only the channels of a new user.
    pub(super) fn new(channels: ChannelsDefault) -> Self {
        let channels = match channels {
            ChannelsDefault::ResetChannels => Patterns::none(),
            ChannelsDefault::AllChannels => Patterns::All,
        };
        Self { commands: Commands::none(), keys: Patterns::none(), channels }
    }

    /// Creates a selector that allows everything.
    pub(super) fn unrestricted() -> Self {
        Self { commands: Commands::all(), keys: Patterns::All, channels: Patterns::All }
    }

    /// Creates a selector from a rule such as `(+get ~a)`.
    ///
    /// # Errors
    ///
    /// A word is no rule, or an ACL file cannot hold the selector: its quotes or parentheses would
    /// come back as other rules.
    pub(super) fn parse(rule: &[u8], channels: ChannelsDefault) -> Result<Self, RuleError> {
        let selector = Self::read(rule, channels)?;
        let saved = [b"(", selector.describe().as_slice(), b")"].concat();
        let words: Vec<&[u8]> = saved.split(|&byte| byte == b' ').collect();
        let is_whole = rule::join_selectors(&words).is_ok_and(|rules| rules == [&*saved]);
        let read = Self::read(&saved, ChannelsDefault::ResetChannels);
        let is_same = read.is_ok_and(|read| read.describe() == selector.describe());
        if is_whole && is_same { Ok(selector) } else { Err(RuleError::Syntax) }
    }

    fn read(rule: &[u8], channels: ChannelsDefault) -> Result<Self, RuleError> {
        let mut selector = Self::new(channels);
        // As in Redis, words with an open quote are no error and grant nothing.
        for word in words::split(&rule[1..rule.len() - 1]).unwrap_or_default() {
            selector.apply(&word)?;
        }
        Ok(selector)
    }

    /// Applies a rule for commands, keys or channels.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let word = rule::text(rule);
        match word.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => self.keys = Patterns::All,
            b"resetkeys" => self.keys = Patterns::none(),
            b"allchannels" | b"&*" => self.channels = Patterns::All,
            b"resetchannels" => self.channels = Patterns::none(),
            b"allcommands" => self.commands = Commands::all(),
            b"nocommands" => self.commands = Commands::none(),
            [b'~' | b'%', ..] => self.add_key_pattern(rule)?,
            [b'&', ..] => self.add_channel_pattern(&rule[1..])?,
            _ => self.commands.apply(word)?,
        }
        Ok(())
    }

    pub(super) fn is_unrestricted(&self) -> bool {
        self.commands.is_everything()
            && matches!((&self.keys, &self.channels), (Patterns::All, Patterns::All))
    }

    pub(super) fn check(&self, access: &Access<'_>) -> Result<(), Obstacle> {
        if !self.commands.allow(access.command, access.argument) {
            return Err(Obstacle::Command);
        }
        if let Some(at) = access.keys.iter().position(|&(used, key)| !self.allows_key(used, key)) {
            return Err(Obstacle::Key(at));
        }
        let denied = |&(used, channel): &(_, &[u8])| !self.allows_channel(used, channel);
        match access.channels.iter().position(denied) {
            Some(at) => Err(Obstacle::Channel(at)),
            None => Ok(()),
        }
    }

    pub(super) fn allows_channel(&self, used: ChannelUse, channel: &[u8]) -> bool {
        let Patterns::Some(patterns) = &self.channels else { return true };
        match used {
            ChannelUse::Literal => patterns.iter().any(|pattern| glob::matches(pattern, channel)),
            ChannelUse::Pattern => patterns.contains(rule::text(channel)),
        }
    }

    /// Returns whether it allows the tap with this name. A tap needs a rule of its own: the right to
    /// use all channels suffices for administrators only.
    pub(super) fn allows_tap(&self, used: ChannelUse, name: &[u8], prefix: &[u8]) -> bool {
        let Patterns::Some(patterns) = &self.channels else {
            return self.commands.allow_all_in("admin");
        };
        let mut own = patterns.iter().filter(|pattern| pattern.starts_with(prefix));
        match used {
            ChannelUse::Literal => own.any(|pattern| glob::matches(pattern, name)),
            ChannelUse::Pattern => own.any(|pattern| pattern == rule::text(name)),
        }
    }

    /// Returns the patterns of its channels; `None` if it allows all.
    pub(super) fn channel_patterns(&self) -> Option<&ChannelPatterns> {
        match &self.channels {
            Patterns::All => None,
            Patterns::Some(patterns) => Some(patterns),
        }
    }

    /// Returns the rules for commands as Redis writes them.
    pub(super) fn commands(&self) -> Vec<u8> {
        self.commands.describe()
    }

    /// Returns the rules for keys, as in `~a %R~b`.
    pub(super) fn keys(&self) -> Vec<u8> {
        match &self.keys {
            Patterns::All => b"~*".to_vec(),
            Patterns::Some(patterns) => {
                let rules = patterns.iter().map(|(pattern, allowed)| allowed.rule(pattern));
                rules.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// Returns the rules for channels, as in `&a &b`.
    pub(super) fn channels(&self) -> Vec<u8> {
        match &self.channels {
            Patterns::All => b"&*".to_vec(),
            Patterns::Some(patterns) => {
                let rules = patterns.iter().map(|pattern| [b"&", pattern.as_slice()].concat());
                rules.collect::<Vec<_>>().join(&b' ')
            }
        }
    }

    /// Returns the rules of this selector.
    pub(super) fn describe(&self) -> Vec<u8> {
        let (keys, channels) = (self.keys(), self.channels());
        let reset: &[u8] = match &self.channels {
            Patterns::All => b"",
            Patterns::Some(_) => b"resetchannels",
        };
        let parts = [&keys, reset, &channels, &self.commands()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' ')
    }

    fn allows_key(&self, used: KeyUse, key: &[u8]) -> bool {
        let Patterns::Some(patterns) = &self.keys else { return true };
        patterns
            .iter()
            .any(|(pattern, allowed)| allowed.covers(used) && glob::matches(pattern, key))
    }

    /// Applies `~pattern`, or `%R~pattern` with `R`, `W` or both.
    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let Patterns::Some(patterns) = &mut self.keys else {
            return Err(RuleError::AfterAllKeys);
        };
        let (pattern, allowed) = KeyUse::parse_rule(rule)?;
        let own = patterns.entry(pattern.to_vec()).or_insert(allowed);
        *own = own.union(allowed);
        Ok(())
    }

    fn add_channel_pattern(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let Patterns::Some(patterns) = &mut self.channels else {
            return Err(RuleError::AfterAllChannels);
        };
        if rule::has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        patterns.insert(pattern.to_vec());
        Ok(())
    }
}

impl<P: Default> Patterns<P> {
    fn none() -> Self {
        Self::Some(P::default())
    }
}

impl KeyUse {
    /// Parses `~pattern`, or `%R~pattern` with `R`, `W` or both. Returns the pattern and the use.
    fn parse_rule(rule: &[u8]) -> Result<(&[u8], Self), RuleError> {
        let (allowed, pattern) = match rule {
            [b'%', rest @ ..] => {
                // Without a `~` the pattern is empty.
                let letters = rest.iter().take_while(|&&byte| byte != b'~').count();
                let pattern = rest.get(letters + 1..).unwrap_or_default();
                (Self::parse(&rest[..letters])?, pattern)
            }
            _ => (Self::BOTH, &rule[1..]),
        };
        if rule::has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        Ok((pattern, allowed))
    }

    /// Returns the rule that permits this use of keys with a pattern.
    fn rule(self, pattern: &[u8]) -> Vec<u8> {
        let prefix: &[u8] = match self {
            Self::READ => b"%R~",
            Self::WRITE => b"%W~",
            _ => b"~",
        };
        [prefix, pattern].concat()
    }

    /// Parses the letters between `%` and `~`: at least one, each at most once.
    fn parse(letters: &[u8]) -> Result<Self, RuleError> {
        match letters.to_ascii_uppercase().as_slice() {
            b"R" => Ok(Self::READ),
            b"W" => Ok(Self::WRITE),
            b"RW" | b"WR" => Ok(Self::BOTH),
            _ => Err(RuleError::Syntax),
        }
    }

    fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }

    fn union(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(rules: &str) -> Result<Selector, RuleError> {
        Selector::parse(format!("({rules})").as_bytes(), ChannelsDefault::ResetChannels)
    }

    #[track_caller]
    fn check(rules: &str, expected: Result<&str, RuleError>) {
        let described = selector(rules).map(|it| String::from_utf8(it.describe()).unwrap());
        assert_eq!(described, expected.map(str::to_owned), "{rules}");
    }

    #[test]
    fn key_patterns() {
        check("~a ~b ~a", Ok("~a ~b resetchannels -@all"));
        check("%R~a %W~a", Ok("~a resetchannels -@all"));
        check("%r~a %Rw~b %WR~c %w~d", Ok("%R~a ~b ~c %W~d resetchannels -@all"));
        check("~a ~*", Ok("~* resetchannels -@all"));
        check("%RW~*", Ok("~* resetchannels -@all"));
        check("allkeys resetkeys ~a", Ok("~a resetchannels -@all"));
        check("~", Ok("~ resetchannels -@all"));
        check("%R", Ok("%R~ resetchannels -@all"));
        check("~* ~a", Err(RuleError::AfterAllKeys));
        check("allkeys %X~a", Err(RuleError::AfterAllKeys));
        for wrong in ["%~a", "%", "%RR~a", "%X~a", "%RWR~a", "\"~a b\""] {
            check(wrong, Err(RuleError::Syntax));
        }
    }

    #[test]
    fn channel_patterns() {
        check("&a &b &a", Ok("resetchannels &a &b -@all"));
        check("&", Ok("resetchannels & -@all"));
        check("&a &*", Ok("&* -@all"));
        check("ALLCHANNELS resetchannels &a", Ok("resetchannels &a -@all"));
        check("&* &a", Err(RuleError::AfterAllChannels));
        check("\"&a b\"", Err(RuleError::Syntax));
    }

    #[test]
    fn words_of_a_selector_may_be_quoted() {
        check("", Ok("resetchannels -@all"));
        check("\t+get  '~a' ", Ok("~a resetchannels -@all +get"));
        check("+get '~a", Ok("resetchannels -@all"));
        for wrong in ["on", ">p", "(+get)", "+get \"\"", ")"] {
            check(wrong, Err(RuleError::Syntax));
        }
    }

    #[test]
    fn a_new_selector_has_the_default_channels() {
        let all = Selector::parse(b"(+get)", ChannelsDefault::AllChannels).unwrap();
        assert_eq!(all.describe(), b"&* -@all +get");
    }

    #[track_caller]
    fn check_key(rules: &str, used: KeyUse, expected: bool) {
        let selector = selector(rules).unwrap();
        assert_eq!(selector.allows_key(used, b"key"), expected, "{rules} {used:?}");
    }

    const NEITHER: KeyUse = KeyUse { read: false, write: false };

    #[test]
    fn a_key_needs_one_pattern_for_all_of_its_uses() {
        check_key("~k*", KeyUse::BOTH, true);
        check_key("~k", KeyUse::READ, false);
        check_key("%R~k*", KeyUse::READ, true);
        check_key("%R~k*", KeyUse::WRITE, false);
        check_key("%R~k* %W~key", KeyUse::BOTH, false);
        check_key("%R~key %W~key", KeyUse::BOTH, true);
        check_key("%W~key", NEITHER, true);
        check_key("%W~other", NEITHER, false);
        check_key("allkeys", KeyUse::BOTH, true);
        check_key("", NEITHER, false);
    }

    #[track_caller]
    fn check_channel(rules: &str, used: ChannelUse, channel: &[u8], expected: bool) {
        let selector = selector(rules).unwrap();
        assert_eq!(selector.allows_channel(used, channel), expected, "{rules} {channel:?}");
    }

    #[test]
    fn a_channel_matches_and_a_pattern_is_the_same() {
        check_channel("&news*", ChannelUse::Literal, b"news.1", true);
        check_channel("&news*", ChannelUse::Literal, b"old", false);
        check_channel("&news*", ChannelUse::Pattern, b"news*", true);
        check_channel("&news*", ChannelUse::Pattern, b"news.1*", false);
        check_channel("&*s", ChannelUse::Pattern, b"news", false);
        check_channel("allchannels", ChannelUse::Pattern, b"*", true);
        check_channel("", ChannelUse::Literal, b"a", false);
        // C compares up to a NUL byte.
        check_channel("&a", ChannelUse::Pattern, b"a\0b", true);
    }
}
