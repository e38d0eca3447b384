//! Users, passwords and renamed commands.

use std::fmt::Display;

use super::{Directive, Kind};
use crate::acl::users::add_users;
use crate::acl::{Acl, AclError, RuleError};
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, memory_within, path_bytes, path_from, signed, unsigned};
use crate::config::{Config, UserLimits};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "requirepass",
        change: Change::Free,
        is_shown: true,
        expects: "a password, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.requirepass.clone().unwrap_or_default(),
            set: |config, password| {
                config.requirepass = (!password.is_empty()).then(|| password.to_vec());
                config.requirepass_file = None;
                Ok(())
            },
        },
    },
    Directive {
        name: "requirepass-file",
        // With CONFIG SET, clients could read the first line of any file.
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file with a password in its first line, or \"\" for none",
        kind: Kind::Text {
            get: |config| config.requirepass_file.as_deref().map(path_bytes).unwrap_or_default(),
            set: set_password_file,
        },
    },
    Directive {
        name: "aclfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file with users, or \"\" for none",
        kind: Kind::Path { at: |config| &mut config.aclfile, get: |config| config.aclfile.clone() },
    },
    Directive {
        name: "acl-pubsub-default",
        change: Change::Free,
        is_shown: true,
        expects: "resetchannels or allchannels",
        kind: Kind::Choice {
            names: &["allchannels", "resetchannels"],
            get: |config| usize::from(!config.acl_pubsub_default_allows),
            set: |config, index| config.acl_pubsub_default_allows = index == 0,
        },
    },
    Directive {
        name: "acllog-max-len",
        change: Change::Free,
        is_shown: true,
        expects: "a number of entries",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| signed(config.acllog_max_len),
            set: |config, entries| config.acllog_max_len = unsigned(entries),
        },
    },
    Directive {
        name: "user",
        change: Change::Immutable,
        is_shown: false,
        expects: "a name and rules, such as: user ann on >secret ~* &news:* +@all",
        kind: Kind::List { get: |_| Vec::new(), set: set_user },
    },
    Directive {
        name: "user-limits",
        change: Change::Free,
        is_shown: true,
        expects: "a user, then limits: clients, subscriptions, message-bytes or messages, each with a \
                  number; or \"\" for none",
        kind: Kind::Rules {
            get: show_user_limits,
            add: add_user_limits,
            clear: |config| config.user_limits.clear(),
        },
    },
    Directive {
        name: "rename-command",
        change: Change::Immutable,
        is_shown: false,
        expects: "a command and its new name, or \"\" to remove it",
        kind: Kind::List { get: |_| Vec::new(), set: set_rename },
    },
];

/// Adds a line of `user`.
fn set_user(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.is_empty() {
        return Err(Invalid::ArgumentCount);
    }
    let mut users = config.users.clone();
    // The default user exists without a line, but two lines for it are a mistake as well.
    if users.iter().any(|known| known.first() == values.first()) {
        return Err(Invalid::User(RuleError::DuplicateUser.to_string()));
    }
    users.push(values.to_vec());
    let mut acl = Acl::new(config.channels_default());
    add_users(&mut acl, &users).map_err(|error| match error {
        AclError::Rule { cause, .. } => Invalid::User(cause.to_string()),
        error => Invalid::User(error.to_string()),
    })?;
    config.users = users;
    Ok(())
}

/// Takes the password from the first line of a file. Without a file, it takes back a password of an
/// earlier one.
fn set_password_file(config: &mut Config, path: &[u8]) -> Result<(), Invalid> {
    if path.is_empty() {
        if config.requirepass_file.take().is_some() {
            config.requirepass = None;
        }
        return Ok(());
    }
    let path = path_from(path);
    let refused = |reason: &dyn Display| {
        Invalid::PasswordFile(format!("no password in {}: {reason}", path.display()))
    };
    let text = std::fs::read(&path).map_err(|error| refused(&error))?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let password = line.strip_suffix(b"\r").unwrap_or(line);
    if password.is_empty() {
        return Err(refused(&"expected one in the first line, found an empty line"));
    }
    // Editors of Windows write marks of an encoding, which nobody would send.
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"]
        .iter()
        .any(|mark| password.starts_with(mark))
    {
        return Err(refused(&"expected UTF-8 without a byte order mark, found one"));
    }
    config.requirepass = Some(password.to_vec());
    config.requirepass_file = Some(path);
    Ok(())
}

/// Adds a line of `rename-command`. The server compares the names with its commands when it binds.
fn set_rename(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    let [old, new] = values else { return Err(Invalid::ArgumentCount) };
    let [old, new] = [old, new].map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    let mut earlier = config.rename_command.iter();
    if earlier.clone().any(|(known, _)| *known == old) {
        return Err(Invalid::NoSuchCommand);
    }
    if !new.is_empty() && earlier.any(|(_, taken)| *taken == new) {
        return Err(Invalid::NameTaken);
    }
    config.rename_command.push((old, new));
    Ok(())
}

fn show_user_limits(config: &Config) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for mut limits in config.user_limits.iter().cloned() {
        values.push(limits.user.clone());
        for (name, at) in UserLimits::NAMES {
            if let Some(limit) = at(&mut limits) {
                values.extend([name.as_bytes().to_vec(), limit.to_string().into_bytes()]);
            }
        }
    }
    values
}

/// Adds a line of `user-limits`; an empty one removes the lines before it.
fn add_user_limits(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if values.iter().all(Vec::is_empty) {
        config.user_limits.clear();
        return Ok(());
    }
    let mut left = values;
    while let [user, rest @ ..] = left {
        let mut limits = UserLimits::of(&**user);
        left = rest;
        // A user may have the name of a limit.
        while let [name, number, rest @ ..] = left
            && let Ok(number) = memory_within(number, 0)
            && let Some((_, at)) = UserLimits::NAMES
                .into_iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
        {
            *at(&mut limits) = Some(number);
            left = rest;
        }
        if limits == UserLimits::of(&**user) {
            return Err(Invalid::UserLimits);
        }
        config.user_limits.push(limits);
    }
    Ok(())
}
