//! One user: its passwords and its permissions.
//!
//! A shared user does not change. A change is made on a copy, which then replaces it. Rules outside
//! of parentheses change the first selector, the root.

use std::sync::Arc;

use super::password::{PasswordHash, Passwords};
use super::rule::{self, RuleError};
use super::selector::{Obstacle, Selector};
use super::{Access, ChannelUse, ChannelsDefault, Denied};

/// A user and its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    name: Vec<u8>,
    identity: Identity,
    enabled: bool,
    nopass: bool,
    /// `skip-sanitize-payload`. It is shown only, since this server restores no keys.
    skip_sanitize: bool,
    passwords: Passwords,
    root: Selector,
    others: Vec<Selector>,
}

/// Distinguishes a user from a later one of the same name. A changed copy keeps it.
#[derive(Clone, Debug, Default)]
struct Identity(Arc<()>);

/// Makes users with the same permissions equal.
impl PartialEq for Identity {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Identity {}

/// The reply of `ACL GETUSER`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) flags: Vec<&'static str>,
    /// In hexadecimal digits.
    pub(crate) passwords: Vec<String>,
    pub(crate) root: SelectorDescription,
    pub(crate) selectors: Vec<SelectorDescription>,
}

/// One selector in the reply of `ACL GETUSER`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SelectorDescription {
    pub(crate) commands: Vec<u8>,
    pub(crate) keys: Vec<u8>,
    pub(crate) channels: Vec<u8>,
}

impl User {
    /// Creates a disabled user without permissions.
    pub(super) fn new(name: &[u8], channels: ChannelsDefault) -> Self {
        Self {
            name: name.to_vec(),
            identity: Identity::default(),
            enabled: false,
            nopass: false,
            skip_sanitize: false,
            passwords: Passwords::default(),
            root: Selector::new(channels),
            others: Vec::new(),
        }
    }

    /// Creates a user without a password and with all permissions, as the default user at first.
    pub(super) fn unrestricted(name: &[u8]) -> Self {
        Self {
            enabled: true,
            nopass: true,
            root: Selector::unrestricted(),
            ..Self::new(name, ChannelsDefault::AllChannels)
        }
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns whether `later` is this user, perhaps changed, and not a new one of the same name.
    pub(crate) fn is_still(&self, later: &Self) -> bool {
        Arc::ptr_eq(&self.identity.0, &later.identity.0)
    }

    /// Returns whether it can log in.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Returns whether any password is right.
    pub(crate) fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// Returns whether a client is this user without logging in, provided it is the default user.
    pub(crate) fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Returns whether every request is allowed.
    pub(crate) fn may_do_everything(&self) -> bool {
        self.root.is_unrestricted()
    }

    /// Returns whether a request is allowed.
    ///
    /// # Errors
    ///
    /// The last key or channel that no selector allows, or the command if no selector allows it.
    /// Redis reports the same.
    pub(crate) fn may(&self, access: &Access<'_>) -> Result<(), Denied> {
        if self.may_do_everything() {
            return Ok(());
        }
        let mut worst = Obstacle::Command;
        for selector in self.selectors() {
            match selector.check(access) {
                Ok(()) => return Ok(()),
                Err(obstacle) => worst = worst.max(obstacle),
            }
        }
        Err(match worst {
            Obstacle::Command => Denied::Command,
            Obstacle::Key(at) => Denied::Key(access.keys[at].1.to_vec()),
            Obstacle::Channel(at) => Denied::Channel(access.channels[at].1.to_vec()),
        })
    }

    /// Returns whether it may have a subscription, regardless of its commands.
    pub(crate) fn may_listen(&self, used: ChannelUse, channel: &[u8]) -> bool {
        self.selectors().any(|selector| selector.allows_channel(used, channel))
    }

    /// Returns whether it may have a tap: `name` is `prefix` and the pattern of the tapped channels.
    /// It needs a rule for the tap, and the right to listen to these channels.
    pub(crate) fn may_tap(&self, name: &[u8], prefix: &[u8]) -> bool {
        let tapped = name.strip_prefix(prefix).unwrap_or(name);
        // A rule for some of the channels of a pattern does not allow the pattern.
        let is_pattern = tapped.iter().any(|byte| b"*?[\\".contains(byte));
        let used = if is_pattern { ChannelUse::Pattern } else { ChannelUse::Literal };
        self.may_do_everything()
            || self.selectors().any(|selector| selector.allows_tap(used, name, prefix))
                && self.may_listen(used, tapped)
    }

    /// Returns whether clients may have to be closed when `next` replaces `self`.
    ///
    /// If so, Redis closes each client of this user with a subscription that fails
    /// [`User::may_listen`] of `next`. If not, it checks no subscription.
    pub(crate) fn loses_channels(&self, next: &Self) -> bool {
        if next.selectors().any(|selector| selector.channel_patterns().is_none()) {
            return false;
        }
        let kept = |pattern: &Vec<u8>| {
            let mut patterns = next.selectors().filter_map(Selector::channel_patterns);
            patterns.any(|own| own.contains(pattern))
        };
        self.selectors().any(|selector| match selector.channel_patterns() {
            None => true,
            Some(patterns) => !patterns.iter().all(kept),
        })
    }

    /// Returns the data for `ACL GETUSER`.
    pub(crate) fn describe(&self) -> Description {
        Description {
            flags: self.flags(),
            passwords: self.passwords.iter().map(PasswordHash::to_string).collect(),
            root: SelectorDescription::of(&self.root),
            selectors: self.others.iter().map(SelectorDescription::of).collect(),
        }
    }

    /// Returns the rules of this user, as in a line of `ACL LIST`.
    pub(super) fn rules(&self) -> Vec<u8> {
        let flags = self.flags().into_iter().map(|flag| flag.as_bytes().to_vec());
        let passwords = self.passwords.iter().map(|hash| format!("#{hash}").into_bytes());
        let selectors =
            self.others.iter().map(|it| [b"(", it.describe().as_slice(), b")"].concat());
        let rules = flags.chain(passwords).chain([self.root.describe()]).chain(selectors);
        rules.collect::<Vec<_>>().join(&b' ')
    }

    /// Applies one rule. After an error, drop the user.
    pub(super) fn apply(
        &mut self,
        rule: &[u8],
        channels: ChannelsDefault,
    ) -> Result<(), RuleError> {
        match rule {
            [] => return Ok(()),
            [b'>', password @ ..] => self.add_password(PasswordHash::of(password)),
            [b'#', digits @ ..] => self.add_password(hash(digits)?),
            [b'<', password @ ..] => self.remove_password(&PasswordHash::of(password))?,
            [b'!', digits @ ..] => self.remove_password(&hash(digits)?)?,
            [b'(', .., b')'] => self.others.push(Selector::parse(rule, channels)?),
            _ => return self.apply_word(rule, channels),
        }
        Ok(())
    }

    fn apply_word(&mut self, rule: &[u8], channels: ChannelsDefault) -> Result<(), RuleError> {
        match rule::text(rule).to_ascii_lowercase().as_slice() {
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => self.set_nopass(),
            b"resetpass" => self.reset_passwords(),
            b"sanitize-payload" => self.skip_sanitize = false,
            b"skip-sanitize-payload" => self.skip_sanitize = true,
            b"clearselectors" => self.others.clear(),
            b"reset" => self.reset(channels),
            _ => return self.root.apply(rule),
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, channels: ChannelsDefault) {
        let name = std::mem::take(&mut self.name);
        let identity = self.identity.clone();
        *self = Self { identity, ..Self::new(&name, channels) };
    }

    pub(super) fn set_nopass(&mut self) {
        self.nopass = true;
        self.passwords.clear();
    }

    pub(super) fn reset_passwords(&mut self) {
        self.nopass = false;
        self.passwords.clear();
    }

    pub(super) fn add_password(&mut self, hash: PasswordHash) {
        self.nopass = false;
        self.passwords.insert(hash);
    }

    fn remove_password(&mut self, hash: &PasswordHash) -> Result<(), RuleError> {
        if self.passwords.shift_remove(hash) { Ok(()) } else { Err(RuleError::NoSuchPassword) }
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        [&self.root].into_iter().chain(&self.others)
    }

    fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.nopass {
            flags.push("nopass");
        }
        flags.push(if self.skip_sanitize { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }
}

impl SelectorDescription {
    fn of(selector: &Selector) -> Self {
        Self { commands: selector.commands(), keys: selector.keys(), channels: selector.channels() }
    }
}

fn hash(digits: &[u8]) -> Result<PasswordHash, RuleError> {
    PasswordHash::parse(digits).ok_or(RuleError::PasswordHash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::KeyUse;

    fn user(rules: &str) -> User {
        let mut user = User::new(b"ann", ChannelsDefault::ResetChannels);
        for rule in rules.split(';') {
            user.apply(rule.as_bytes(), ChannelsDefault::ResetChannels).unwrap();
        }
        user
    }

    #[track_caller]
    fn check(rules: &str, expected: &str) {
        let rules_back = String::from_utf8(user(rules).rules()).unwrap();
        assert_eq!(rules_back, expected, "{rules}");
    }

    #[test]
    fn flags() {
        check("", "off sanitize-payload resetchannels -@all");
        check("ON;off;on", "on sanitize-payload resetchannels -@all");
        check(
            "nopass;skip-sanitize-payload;on",
            "on nopass skip-sanitize-payload resetchannels -@all",
        );
        check("skip-sanitize-payload;sanitize-payload", "off sanitize-payload resetchannels -@all");
        check(
            "on;nopass;skip-sanitize-payload;~a;&a;+get;(+set);reset",
            "off sanitize-payload resetchannels -@all",
        );
    }

    #[test]
    fn passwords() {
        const A: &str = "#ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        const B: &str = "#3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";
        check(">a;>b;>a", &format!("off sanitize-payload {A} {B} resetchannels -@all"));
        check(&format!(">a;{B};<a"), &format!("off sanitize-payload {B} resetchannels -@all"));
        check(&format!(">a;!{}", &A[1..]), "off sanitize-payload resetchannels -@all");
        check("nopass;>a", &format!("off sanitize-payload {A} resetchannels -@all"));
        check(">a;nopass", "off nopass sanitize-payload resetchannels -@all");
        check(">a;nopass;resetpass", "off sanitize-payload resetchannels -@all");
        for (rule, expected) in [
            ("<a".to_owned(), RuleError::NoSuchPassword),
            (format!("!{}", &A[1..]), RuleError::NoSuchPassword),
            (A.to_uppercase(), RuleError::PasswordHash),
            ("#ca97".to_owned(), RuleError::PasswordHash),
            ("!".to_owned(), RuleError::PasswordHash),
        ] {
            let error = user("").apply(rule.as_bytes(), ChannelsDefault::ResetChannels);
            assert_eq!(error, Err(expected), "{rule}");
        }
    }

    #[test]
    fn selectors_stand_behind_the_root() {
        check(
            "(+get ~x);+set;()",
            "off sanitize-payload resetchannels -@all +set (~x resetchannels -@all +get) (resetchannels -@all)",
        );
        check(
            "(+get ~x);clearselectors;(&a)",
            "off sanitize-payload resetchannels -@all (resetchannels &a -@all)",
        );
    }

    #[test]
    fn getuser_shows_flags_passwords_and_selectors() {
        let shown = user("on;nopass;~a;%R~b;&c;&d;+get;(~x +set)").describe();
        assert_eq!(shown.flags, ["on", "nopass", "sanitize-payload"]);
        assert_eq!(shown.root.keys, b"~a %R~b");
        assert_eq!(shown.root.channels, b"&c &d");
        assert_eq!(shown.root.commands, b"-@all +get");
        assert_eq!(shown.selectors.len(), 1);
        assert_eq!(shown.selectors[0].keys, b"~x");
        assert_eq!(shown.selectors[0].channels, b"");
    }

    /// Who may `COPY from to`, and who `SUBSCRIBE from to`?
    fn access<'a>(
        keys: &'a [(KeyUse, &'a [u8])],
        channels: &'a [(ChannelUse, &'a [u8])],
    ) -> Access<'a> {
        let command = if keys.is_empty() { "subscribe" } else { "copy" };
        Access { command, argument: Some(b"from"), keys, channels }
    }

    #[track_caller]
    fn check_copy(rules: &str, expected: Result<(), Denied>) {
        let keys = [(KeyUse::READ, b"from".as_slice()), (KeyUse::WRITE, b"to")];
        assert_eq!(user(rules).may(&access(&keys, &[])), expected, "{rules}");
    }

    #[track_caller]
    fn check_subscribe(rules: &str, expected: Result<(), Denied>) {
        let channels = [(ChannelUse::Literal, b"from".as_slice()), (ChannelUse::Literal, b"to")];
        assert_eq!(user(rules).may(&access(&[], &channels)), expected, "{rules}");
    }

    #[test]
    fn one_selector_must_allow_all_of_it() {
        let key = |key: &str| Err(Denied::Key(key.into()));
        check_copy("+@all;~*;&*", Ok(()));
        check_copy("+copy;~*", Ok(()));
        check_copy("+copy;%R~from;%W~t*", Ok(()));
        check_copy("~*", Err(Denied::Command));
        check_copy("+copy", key("from"));
        check_copy("+copy;~from", key("to"));
        check_copy("+copy;%R~*", key("to"));
        check_copy("(+copy ~*)", Ok(()));
        check_copy("~*;(+copy)", key("from"));
        check_copy("+copy;(~*)", key("from"));
        check_copy("+copy;~from;(+copy ~to)", key("to"));
        check_copy("+copy;~to;(+copy ~from)", key("to"));
        check_copy("+copy;(+copy ~to)", key("from"));
    }

    #[test]
    fn the_last_obstacle_is_reported() {
        let channel = |channel: &str| Err(Denied::Channel(channel.into()));
        check_subscribe("+subscribe;&from;&t?", Ok(()));
        check_subscribe("&*", Err(Denied::Command));
        check_subscribe("+subscribe;&to", channel("from"));
        check_subscribe("+subscribe;(+subscribe &from)", channel("to"));
        check_subscribe("+subscribe;&from;(&to)", channel("to"));
    }

    #[track_caller]
    fn check_tap(rules: &str, name: &str, expected: bool) {
        assert_eq!(user(rules).may_tap(name.as_bytes(), b"__tap__:"), expected, "{rules} {name}");
    }

    #[test]
    fn a_tap_needs_a_rule_of_its_own_and_the_right_to_listen() {
        check_tap("&__tap__:chat;&chat", "__tap__:chat", true);
        check_tap("&__tap__:*;&c*", "__tap__:chat", true);
        check_tap("&__tap__:*", "__tap__:chat", false);
        check_tap("&chat", "__tap__:chat", false);
        check_tap("&__tap__:news;&chat", "__tap__:chat", false);
        // A rule that is not about taps matches their names by accident.
        check_tap("&_*;&chat", "__tap__:chat", false);
        check_tap("&__tap__:chat;(&chat)", "__tap__:chat", true);
    }

    #[test]
    fn a_tap_of_a_pattern_needs_this_pattern() {
        check_tap("&__tap__:chat*;&chat*", "__tap__:chat*", true);
        check_tap("&__tap__:*;&*", "__tap__:*", false);
        check_tap("&__tap__:chat?;&chat?", "__tap__:chat*", false);
        check_tap("&__tap__:*;&chat*", "__tap__:chat*", false);
        check_tap("&__tap__:c\\h;&c\\h", "__tap__:c\\h", true);
    }

    #[test]
    fn all_channels_suffice_for_administrators_only() {
        check_tap("&*;+subscribe", "__tap__:chat", false);
        check_tap("&*;+@admin", "__tap__:chat", true);
        check_tap("&*;+@all;-config", "__tap__:chat", false);
        check_tap("+@all;~*;&*", "__tap__:*", true);
        check_tap("+@admin;&chat", "__tap__:chat", false);
        check_tap("&*;(&__tap__:chat)", "__tap__:chat", true);
    }

    #[test]
    fn a_channel_that_is_lost_is_found() {
        for (before, after, channel, lost) in [
            ("&*", "", "a", true),
            ("&*", "&a", "a", false),
            ("&*", "&a*", "ab", false),
            ("&a", "&b", "a", true),
            ("&a;&b", "&a", "a", false),
            ("(&a)", "", "a", true),
            ("&a", "(&a)", "a", false),
            ("&a;+@all", "&a", "a", false),
            ("&a", "&*", "a", false),
        ] {
            let (before, after) = (user(before), user(after));
            let may = after.may_listen(ChannelUse::Literal, channel.as_bytes());
            assert_eq!(before.loses_channels(&after) && !may, lost, "{before:?} {after:?}");
        }
        let after = user("&a*");
        assert!(after.may_listen(ChannelUse::Pattern, b"a*"));
        assert!(!after.may_listen(ChannelUse::Pattern, b"ab*"));
    }
}
