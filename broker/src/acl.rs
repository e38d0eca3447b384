//! Users and their permissions, with Redis' rules and error texts.
//!
//! Except for [`users`], this is pure logic without sessions, files or clocks. A session holds its
//! [`User`]. A change is made on a copy, so the permissions of a user never change in part. The
//! callers close the clients of a changed user.
//!
//! **Invariant.** There is always a user called `default`.

mod catalogue;
mod commands;
#[cfg(test)]
mod described;
mod file;
mod log;
mod password;
mod rule;
mod selector;
mod user;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use subtle::Choice;

pub(crate) use self::catalogue::{categories, categories_of, commands_in, is_ours};
pub(crate) use self::log::{AclLog, CallContext, Entry, Incident, Reason};
pub(crate) use self::password::generate_password;
pub(crate) use self::rule::{AclError, RuleError};
pub(crate) use self::user::{SelectorDescription, User};

use self::password::{PasswordHash, Passwords};

/// All users of a server, by name.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    users: BTreeMap<Vec<u8>, Arc<User>>,
    channels_default: ChannelsDefault,
}

/// The user of a client that has not logged in. It cannot be removed.
pub(crate) const DEFAULT_USER: &[u8] = b"default";

/// The channels of a new user, a new selector and a user after `reset`: `acl-pubsub-default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ChannelsDefault {
    #[default]
    ResetChannels,
    AllChannels,
}

/// The command, keys and channels of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    /// The full name in lower case, such as `client|list`.
    pub(crate) command: &'a str,
    /// The argument after the name, for rules such as `+select|0`.
    pub(crate) argument: Option<&'a [u8]>,
    /// In the order of the arguments.
    pub(crate) keys: &'a [(KeyUse, &'a [u8])],
    /// In the order of the arguments.
    pub(crate) channels: &'a [(ChannelUse, &'a [u8])],
}

/// Access of a command to the value of a key. `EXISTS` neither reads nor writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUse {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl KeyUse {
    pub(crate) const READ: Self = Self { read: true, write: false };
    pub(crate) const WRITE: Self = Self { read: false, write: true };
    pub(crate) const BOTH: Self = Self { read: true, write: true };
}

/// How a command names channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelUse {
    /// `PUBLISH`, `SUBSCRIBE` and their sharded kin.
    Literal,
    /// `PSUBSCRIBE`: allowed if a rule has exactly this pattern.
    Pattern,
}

/// The reason why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Command,
    Key(Vec<u8>),
    Channel(Vec<u8>),
}

impl Acl {
    /// Creates the users of a fresh server: the default user, with all permissions.
    pub(crate) fn new(channels_default: ChannelsDefault) -> Self {
        let mut acl = Self { users: BTreeMap::new(), channels_default };
        acl.insert(User::unrestricted(DEFAULT_USER));
        acl
    }

    /// Sets `acl-pubsub-default` for later rules.
    pub(crate) fn set_channels_default(&mut self, channels_default: ChannelsDefault) {
        self.channels_default = channels_default;
    }

    /// Makes `requirepass` the only password of the default user. Without a password, or with an
    /// empty one, every client is this user.
    pub(crate) fn set_password_of_default(&mut self, requirepass: Option<&[u8]>) {
        let mut user = User::clone(&self.default_user());
        match requirepass {
            Some(password) if !password.is_empty() => {
                user.reset_passwords();
                user.add_password(PasswordHash::of(password));
            }
            _ => user.set_nopass(),
        }
        self.insert(user);
    }

    pub(crate) fn user(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.get(name).cloned()
    }

    pub(crate) fn default_user(&self) -> Arc<User> {
        self.user(DEFAULT_USER).expect("the default user is never removed")
    }

    /// Applies rules to a user, or creates it. A selector may be split into several words.
    ///
    /// # Errors
    ///
    /// The name has blanks, or a rule cannot be applied. Nothing is changed then.
    pub(crate) fn set_user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), AclError> {
        let user = self.user(name).map(|user| User::clone(&user));
        let user = user.unwrap_or_else(|| User::new(name, self.channels_default));
        let user = self.with_rules(user, rules)?;
        self.insert(user);
        Ok(())
    }

    /// Creates the user of a `user` line in redis.conf. The default user starts without permissions.
    ///
    /// # Errors
    ///
    /// The user exists, its name has blanks, or a rule cannot be applied. Nothing is changed then.
    pub(crate) fn configure_user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), AclError> {
        let mut user = User::new(name, self.channels_default);
        if name == DEFAULT_USER {
            user.reset(self.channels_default);
        } else if self.users.contains_key(name) {
            return Err(AclError::Rule { rule: name.to_vec(), cause: RuleError::DuplicateUser });
        }
        let user = self.with_rules(user, rules)?;
        self.insert(user);
        Ok(())
    }

    /// Removes a user and returns whether it existed. The default user stays.
    pub(crate) fn delete_user(&mut self, name: &[u8]) -> bool {
        name != DEFAULT_USER && self.users.remove(name).is_some()
    }

    /// Returns the names of all users, in the order of their bytes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.users.keys().map(Vec::as_slice)
    }

    /// Returns the users, in the order of their names.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// Returns the lines of `ACL LIST`, in the order of the names.
    pub(crate) fn list(&self) -> Vec<Vec<u8>> {
        self.users()
            .map(|user| [b"user ", user.name(), b" ", user.rules().as_slice()].concat())
            .collect()
    }

    /// Returns the user if the password is right and the user is enabled.
    ///
    /// Takes as long for a missing user as for a user with one password.
    pub(crate) fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        static MISSING: LazyLock<Passwords> =
            LazyLock::new(|| [PasswordHash::of(b"")].into_iter().collect());
        let hash = PasswordHash::of(password);
        let user = self.users.get(name);
        let passwords = user.map_or(&*MISSING, |user| user.passwords());
        let equal = passwords.iter().fold(Choice::from(0), |any, own| any | own.equals(&hash));
        user.filter(|user| user.is_enabled() && (user.needs_no_password() || equal.into())).cloned()
    }

    fn with_rules(&self, mut user: User, rules: &[&[u8]]) -> Result<User, AclError> {
        if !is_valid_name(user.name()) {
            return Err(AclError::Name);
        }
        let joined = rule::join_selectors(rules)
            .map_err(|rule::Unmatched(at)| AclError::Unmatched { rule: rules[at].to_vec() })?;
        for rule in joined {
            user.apply(&rule, self.channels_default)
                .map_err(|cause| AclError::Rule { rule, cause })?;
        }
        Ok(user)
    }

    fn insert(&mut self, user: User) {
        self.users.insert(user.name().to_vec(), Arc::new(user));
    }
}

/// Returns whether a user may have this name: no blanks, no NUL.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    !rule::has_blanks(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acl() -> Acl {
        Acl::new(ChannelsDefault::ResetChannels)
    }

    fn set(acl: &mut Acl, name: &str, rules: &str) -> Result<(), String> {
        let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        acl.set_user(name.as_bytes(), &rules).map_err(|error| error.to_string())
    }

    fn list(acl: &Acl) -> Vec<String> {
        acl.list().into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn a_fresh_server_has_a_user_with_all_permissions() {
        assert_eq!(list(&acl()), ["user default on nopass sanitize-payload ~* &* +@all"]);
        assert!(acl().default_user().is_open());
        let access = Access { command: "shutdown", argument: None, keys: &[], channels: &[] };
        assert_eq!(acl().default_user().may(&access), Ok(()));
    }

    #[test]
    fn users_are_made_changed_and_removed() {
        let mut acl = acl();
        set(&mut acl, "b", "on +get (~x").unwrap_err();
        assert_eq!(acl.user(b"b"), None);
        set(&mut acl, "b", "on +get (~x +set)").unwrap();
        set(&mut acl, "a", "").unwrap();
        set(&mut acl, "b", "~y").unwrap();
        assert_eq!(
            list(&acl),
            [
                "user a off sanitize-payload resetchannels -@all",
                "user b on sanitize-payload ~y resetchannels -@all +get (~x resetchannels -@all +set)",
                "user default on nopass sanitize-payload ~* &* +@all",
            ]
        );
        assert!(acl.delete_user(b"b"));
        assert!(!acl.delete_user(b"b"));
        assert!(!acl.delete_user(b"default"));
        assert_eq!(acl.names().collect::<Vec<_>>(), [b"a".as_slice(), b"default"]);
    }

    #[test]
    fn one_wrong_rule_changes_nothing() {
        let mut acl = acl();
        set(&mut acl, "a", "on ~x").unwrap();
        let before = list(&acl);
        for (rules, expected) in [
            (
                "off +foo",
                "Error in ACL SETUSER modifier '+foo': Unknown command or category name in ACL",
            ),
            ("off foo", "Error in ACL SETUSER modifier 'foo': Syntax error"),
            ("off (+get ~x", "Unmatched parenthesis in acl selector starting at '(+get'."),
            (
                "(+foo ~x)",
                "Error in ACL SETUSER modifier '(+foo ~x)': Unknown command or category name in ACL",
            ),
            (
                ">p +config|get|x",
                "Error in ACL SETUSER modifier '+config|get|x': Allowing first-arg of a subcommand is not supported",
            ),
            (
                "off <p",
                "Error in ACL SETUSER modifier '<p': The password you are trying to remove from the user does not exist",
            ),
            (
                "#p",
                "Error in ACL SETUSER modifier '#p': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
            ),
            (
                "~* ~a",
                "Error in ACL SETUSER modifier '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns",
            ),
            (
                "&* &a",
                "Error in ACL SETUSER modifier '&a': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels",
            ),
        ] {
            assert_eq!(set(&mut acl, "a", rules).unwrap_err(), expected);
            assert_eq!(list(&acl), before, "{rules}");
        }
    }

    #[test]
    fn acl_pubsub_default_is_for_rules_to_come() {
        let mut acl = acl();
        set(&mut acl, "a", "on").unwrap();
        acl.set_channels_default(ChannelsDefault::AllChannels);
        set(&mut acl, "a", "(+get)").unwrap();
        set(&mut acl, "b", "resetchannels").unwrap();
        set(&mut acl, "b", "reset").unwrap();
        assert_eq!(
            list(&acl)[..2],
            [
                "user a on sanitize-payload resetchannels -@all (&* -@all +get)",
                "user b off sanitize-payload &* -@all"
            ]
        );
    }

    #[test]
    fn a_user_of_the_configuration_is_given_once() {
        let mut acl = acl();
        acl.configure_user(b"a", &[b"on", b"+get"]).unwrap();
        acl.configure_user(b"default", &[b"on", b"nopass"]).unwrap();
        assert_eq!(
            list(&acl),
            [
                "user a on sanitize-payload resetchannels -@all +get",
                "user default on nopass sanitize-payload resetchannels -@all"
            ]
        );
        let twice = acl.configure_user(b"a", &[b"off"]).unwrap_err();
        let cause = RuleError::DuplicateUser;
        assert_eq!(twice, AclError::Rule { rule: b"a".to_vec(), cause });
    }

    fn may_log_in(acl: &Acl, name: &str, password: &str) -> bool {
        acl.authenticate(name.as_bytes(), password.as_bytes()).is_some()
    }

    #[test]
    fn one_of_its_passwords_lets_an_enabled_user_in() {
        let mut acl = acl();
        set(&mut acl, "ann", "on >one >two").unwrap();
        set(&mut acl, "bob", "on nopass").unwrap();
        set(&mut acl, "off", "off nopass >one").unwrap();
        set(&mut acl, "new", "on").unwrap();
        for (name, password, expected) in [
            ("ann", "one", true),
            ("ann", "two", true),
            ("ann", "three", false),
            ("ann", "", false),
            ("bob", "anything", true),
            ("off", "one", false),
            ("new", "", false),
            ("nobody", "", false),
            ("nobody", "one", false),
            ("default", "anything", true),
        ] {
            assert_eq!(may_log_in(&acl, name, password), expected, "{name} {password}");
        }
    }

    #[test]
    fn requirepass_is_the_only_password_of_the_default_user() {
        let mut acl = acl();
        acl.set_password_of_default(Some(b"one"));
        set(&mut acl, "default", ">two").unwrap();
        assert!(!acl.default_user().is_open());
        assert!(may_log_in(&acl, "default", "two"));

        acl.set_password_of_default(Some(b"three"));
        assert!(!may_log_in(&acl, "default", "two"));
        assert!(may_log_in(&acl, "default", "three"));

        acl.set_password_of_default(Some(b""));
        assert!(acl.default_user().is_open());
        acl.set_password_of_default(None);
        assert_eq!(list(&acl), ["user default on nopass sanitize-payload ~* &* +@all"]);
    }

    #[test]
    fn names_have_no_blanks() {
        for (name, expected) in
            [("ann", true), ("", true), ("a b", false), ("a\tb", false), ("a\0", false)]
        {
            assert_eq!(is_valid_name(name.as_bytes()), expected, "{name:?}");
            assert_eq!(acl().set_user(name.as_bytes(), &[]).is_ok(), expected, "{name:?}");
            assert_eq!(acl().configure_user(name.as_bytes(), &[]).is_ok(), expected, "{name:?}");
        }
    }

    fn command_rule() -> impl Strategy<Value = String> {
        let names: Vec<String> = categories()
            .iter()
            .flat_map(|category| commands_in(category.as_bytes()).unwrap())
            .map(str::to_owned)
            .chain(categories().iter().map(|category| format!("@{category}")))
            .chain(["@all".to_owned()])
            .collect();
        (prop::sample::select(vec!['+', '-']), prop::sample::select(names))
            .prop_map(|(sign, name)| format!("{sign}{name}"))
    }

    fn rule() -> impl Strategy<Value = String> {
        let selector = prop::collection::vec(command_rule(), 0..4)
            .prop_map(|rules| format!("({} ~s &s)", rules.join(" ")));
        prop_oneof![
            6 => command_rule(),
            1 => "%(R|W|RW)~[a-c]".prop_map(|rule| rule),
            1 => "&[a-c]".prop_map(|rule| rule),
            1 => "[+](get|select|debug)[|][a-c]".prop_map(|rule| rule),
            1 => selector,
            1 => prop::sample::select(vec!["on", "nopass", ">p", "skip-sanitize-payload"])
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #[test]
        fn a_saved_user_is_the_same_when_it_is_loaded(rules in prop::collection::vec(rule(), 0..12)) {
            let mut acl = acl();
            set(&mut acl, "ann", &rules.join(" ")).unwrap();
            let file = acl.to_file();
            let loaded = Acl::load(&file, "users.acl", ChannelsDefault::ResetChannels).unwrap();
            prop_assert_eq!(loaded.to_file(), file);
        }

        #[test]
        fn any_bytes_are_refused_or_come_back_from_a_file(
            name in bytes(),
            rules in prop::collection::vec(hostile_rule(), 0..4),
        ) {
            let mut acl = acl();
            let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
            if acl.set_user(&name, &rules).is_ok() {
                let file = acl.to_file();
                let loaded = Acl::load(&file, "users.acl", ChannelsDefault::ResetChannels).unwrap();
                prop_assert_eq!(loaded.to_file(), file);
            }
        }
    }

    /// Bytes that separate, quote or end words, and others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let special = prop::sample::select(b" \t\n\r\0\x0b()~&%+-|\"'\\#@xR\xff".to_vec());
        prop::collection::vec(special, 0..6)
    }

    fn hostile_rule() -> impl Strategy<Value = Vec<u8>> {
        let starts = ["~", "&", "%R~", "+get|", "(~", "(&", "(+get|", "(~a &", "+", ">", ""];
        let ends = ["", ")", " +get)", "\nuser eve on nopass +@all"];
        (prop::sample::select(starts.to_vec()), bytes(), prop::sample::select(ends.to_vec()))
            .prop_map(|(start, bytes, end)| [start.as_bytes(), &bytes, end.as_bytes()].concat())
    }
}
