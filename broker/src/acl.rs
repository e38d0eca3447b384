//! Users and what they may do, by Redis' rules and in its words.
//!
//! Pure logic: it knows no session, no file and no clock. A session holds its [`User`]; a change is
//! made on a copy, so what a user may do never changes half way. Who runs as a user that changed,
//! and must be closed or told, is the business of those who know the sessions.
//!
//! **Invariant.** There is always a user called `default`.

mod catalogue;
mod commands;
mod file;
mod log;
mod password;
mod rule;
mod selector;
mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use subtle::Choice;

pub(crate) use self::catalogue::{categories, commands_in};
pub(crate) use self::log::{AclLog, Context, Entry, Incident, Reason};
pub(crate) use self::password::generate_password;
pub(crate) use self::rule::{AclError, RuleError};
pub(crate) use self::user::{SelectorDescription, User};

use self::password::PasswordHash;

/// All users of a server, by name.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    users: BTreeMap<Vec<u8>, Arc<User>>,
    channels_default: ChannelsDefault,
}

/// The user that a client is before it logs in. It cannot be removed.
pub(crate) const DEFAULT_USER: &[u8] = b"default";

/// Which channels a new user, a new selector and a user after `reset` have: `acl-pubsub-default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ChannelsDefault {
    #[default]
    ResetChannels,
    AllChannels,
}

/// What a request is about to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    /// The full name in lower case, such as `client|list`.
    pub(crate) command: &'a str,
    /// The first argument behind the name, for rules such as `+select|0`.
    pub(crate) argument: Option<&'a [u8]>,
    /// In the order of the arguments.
    pub(crate) keys: &'a [(KeyUse, &'a [u8])],
    /// In the order of the arguments.
    pub(crate) channels: &'a [(ChannelUse, &'a [u8])],
}

/// What a command does with the value of a key. Neither is possible: `EXISTS` does.
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
    /// `PSUBSCRIBE`: it is allowed if the same pattern is, letter by letter.
    Pattern,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Command,
    Key(Vec<u8>),
    Channel(Vec<u8>),
}

impl Acl {
    /// Makes the users of a fresh server: the default one, who may do everything.
    pub(crate) fn new(channels_default: ChannelsDefault) -> Self {
        let mut acl = Self { users: BTreeMap::new(), channels_default };
        acl.insert(User::unrestricted(DEFAULT_USER));
        acl
    }

    /// Sets `acl-pubsub-default` for rules to come.
    pub(crate) fn set_channels_default(&mut self, channels_default: ChannelsDefault) {
        self.channels_default = channels_default;
    }

    /// Gives the default user this password only: `requirepass`. None, or an empty one, lets
    /// everybody in.
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

    /// Changes a user by rules, or makes it. The words of a selector may stand apart.
    ///
    /// The caller has seen to it that [`is_valid_name`] holds.
    ///
    /// # Errors
    ///
    /// A rule that cannot be applied; then nothing is changed.
    pub(crate) fn set_user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), AclError> {
        let user = self.user(name).map(|user| User::clone(&user));
        let user = user.unwrap_or_else(|| User::new(name, self.channels_default));
        let user = self.with_rules(user, rules)?;
        self.insert(user);
        Ok(())
    }

    /// Makes a user that redis.conf gives: the default one from scratch.
    ///
    /// # Errors
    ///
    /// The user is there already, or a rule cannot be applied; then nothing is changed.
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

    /// Removes a user, and returns whether it was there. The default user stays.
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

    /// Returns the user who may log in with this password.
    ///
    /// It takes as long for one who does not exist as for one with a password.
    pub(crate) fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        static NOBODY: LazyLock<[PasswordHash; 1]> = LazyLock::new(|| [PasswordHash::of(b"")]);
        let hash = PasswordHash::of(password);
        let user = self.users.get(name);
        let passwords = user.map_or(NOBODY.as_slice(), |user| user.passwords());
        let equal = passwords.iter().fold(Choice::from(0), |any, own| any | own.equals(&hash));
        user.filter(|user| user.enabled && (user.nopass || equal.into())).cloned()
    }

    fn with_rules(&self, mut user: User, rules: &[&[u8]]) -> Result<User, AclError> {
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

/// Whether a user may be called so: no blanks, no NUL.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    !rule::has_blanks(name)
}
