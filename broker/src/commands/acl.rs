//! `ACL`: users and their permissions.

use super::Answer;
use super::errors::{
    CommandError, NOT_AN_INTEGER, SHOWN_BYTES_MAX, help_wanted, shown, wrong_number_of_arguments,
};
use super::lookup::{Found, find, find_full};
use super::permissions::{permission, refused_in_full};
use super::spec::Outcome;
use crate::acl::users::{is_default, now_ms};
use crate::acl::{
    Entry as LogEntry, SelectorDescription, categories, commands_in, generate_password,
    is_valid_name,
};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::session::{AfterEnds, Session};

impl Session {
    /// `ACL WHOAMI`
    pub(crate) fn acl_whoami(&self) -> Reply {
        Reply::bulk(self.user.name())
    }

    /// `ACL LIST`
    pub(crate) fn acl_list(&self) -> Reply {
        Reply::Array(self.server.users.with(|acl| acl.list().iter().map(Reply::bulk).collect()))
    }

    /// `ACL USERS`
    pub(crate) fn acl_users(&self) -> Reply {
        Reply::Array(self.server.users.with(|acl| acl.names().map(Reply::bulk).collect()))
    }

    /// `ACL GETUSER username`
    pub(crate) fn acl_getuser(&self, name: &[u8]) -> Reply {
        let Some(user) = self.server.users.get(name) else { return Reply::Null };
        let user = user.describe();
        let set = |words: &[&str]| Reply::Set(words.iter().map(Reply::bulk).collect());
        let mut fields = vec![
            (Reply::bulk("flags"), set(&user.flags)),
            (
                Reply::bulk("passwords"),
                Reply::Array(user.passwords.iter().map(Reply::bulk).collect()),
            ),
        ];
        fields.extend(selector(&user.root));
        let others = user.selectors.iter().map(|each| Reply::Map(selector(each).into())).collect();
        fields.push((Reply::bulk("selectors"), Reply::Array(others)));
        Reply::Map(fields)
    }

    /// `ACL SETUSER username [rule [rule ...]]`
    pub(crate) fn acl_setuser(&mut self, request: Request<'_>, context: &mut Context) -> Outcome {
        match self.set_user(request) {
            Ok(()) => self.after_check(Reply::ok(), context),
            Err(error) => Err(error).into(),
        }
    }

    fn set_user(&self, request: Request<'_>) -> Result<(), CommandError> {
        let name = request.argument(2);
        if !is_valid_name(name) {
            return Err(b"ERR Usernames can't contain spaces or null characters".to_vec());
        }
        let rules: Vec<&[u8]> = request.arguments_from(3).collect();
        self.server
            .users
            .change(|acl| acl.set_user(name, &rules))
            .map_err(|error| [b"ERR ", error.message().as_slice()].concat())
    }

    /// Replies once no client is left that has lost a permission.
    fn after_check(&mut self, reply: Reply, context: &mut Context) -> Outcome {
        context.effects.push(Effect::CheckPermissions);
        if self.present_user().is_none() {
            self.ends_itself = true;
            self.reply(context, &reply);
            return Outcome::Replied;
        }
        let users = self.server.users.generation();
        self.after_ends = Some(Box::new(AfterEnds { clients: Vec::new(), users, reply }));
        Outcome::WaitForEnds
    }

    /// `ACL DELUSER username [username ...]`
    pub(crate) fn acl_deluser(&mut self, request: Request<'_>, context: &mut Context) -> Outcome {
        if request.arguments_from(2).any(is_default) {
            return Err(b"ERR The 'default' user cannot be removed".to_vec()).into();
        }
        let users = &self.server.users;
        let names = request.arguments_from(2);
        let deleted = users.change(|acl| names.filter(|name| acl.delete_user(name)).count());
        self.after_check(Reply::integer(deleted), context)
    }

    /// `ACL DRYRUN username command [arg [arg ...]]`
    pub(crate) fn acl_dryrun(&self, request: Request<'_>) -> Answer {
        let (name, command) = (request.argument(2), request.argument(3));
        let Some(user) = self.server.users.get(name) else {
            return Err([b"ERR User '", shown(name, usize::MAX), b"' not found"].concat());
        };
        let inner = request.tail(3);
        let subcommand = (inner.len() > 1).then(|| inner.argument(1));
        let Found::Command(spec) = find(command, subcommand) else {
            return Err([b"ERR Command '", shown(command, usize::MAX), b"' not found"].concat());
        };
        if !spec.accepts(inner.len()) {
            return Err(wrong_number_of_arguments(spec));
        }
        Ok(match permission(&user, spec, inner) {
            Ok(()) => Reply::ok(),
            Err(denied) => Reply::bulk(refused_in_full(&user, spec, &denied)),
        })
    }

    /// `ACL LOG [count | RESET]`
    pub(crate) fn acl_log(&self, request: Request<'_>) -> Answer {
        /// Redis' default.
        const SHOWN: i64 = 10;

        if request.len() > 3 {
            return Err(help_wanted("ACL", request.argument(1)));
        }
        let argument = (request.len() == 3).then(|| request.argument(2));
        if argument.is_some_and(|argument| argument.eq_ignore_ascii_case(b"reset")) {
            self.server.users.with_log(crate::acl::AclLog::reset);
            return Ok(Reply::ok());
        }
        let count = match argument {
            None => SHOWN,
            Some(count) => request::integer(count).ok_or(NOT_AN_INTEGER)?,
        };
        let count = usize::try_from(count).unwrap_or(0);
        let now = now_ms();
        Ok(Reply::Array(self.server.users.with_log(|log| {
            log.entries().take(count).map(|entry| log_entry(entry, now)).collect()
        })))
    }

    /// `ACL LOAD`
    pub(crate) fn acl_load(&mut self, context: &mut Context) -> Outcome {
        match self.server.users.load(context.config.channels_default()) {
            Ok(()) => self.after_check(Reply::ok(), context),
            Err(error) => Err(format!("ERR {error}").into_bytes()).into(),
        }
    }

    /// `ACL SAVE`
    pub(crate) fn acl_save(&self) -> Answer {
        self.server.users.save().map_err(|error| format!("ERR {error}").into_bytes())?;
        Ok(Reply::ok())
    }
}

/// `ACL CAT [category]`
pub(crate) fn cat(request: Request<'_>) -> Answer {
    match request.len() {
        2 => Ok(Reply::Array(categories().iter().map(Reply::bulk).collect())),
        3 => match commands_in(request.argument(2)) {
            Some(names) => {
                let own = names.iter().filter(|name| find_full(name.as_bytes()).is_some());
                Ok(Reply::Array(own.map(Reply::bulk).collect()))
            }
            None => {
                let name = shown(request.argument(2), SHOWN_BYTES_MAX);
                Err([b"ERR Unknown category '", name, b"'"].concat())
            }
        },
        _ => Err(help_wanted("ACL", request.argument(1))),
    }
}

/// `ACL GENPASS [bits]`
pub(crate) fn genpass(request: Request<'_>) -> Answer {
    const BITS: usize = 256;

    let bits = match request.len() {
        2 => BITS,
        3 => match request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)? {
            bits @ 1..=4096 => usize::try_from(bits).unwrap_or(BITS),
            _ => {
                return Err(b"ERR ACL GENPASS argument must be the number of bits for the output \
                    password, a positive number up to 4096"
                    .to_vec());
            }
        },
        _ => return Err(help_wanted("ACL", request.argument(1))),
    };
    generate_password(bits)
        .map(Reply::bulk)
        .map_err(|error| format!("ERR cannot generate a password: {error}").into_bytes())
}

fn selector(described: &SelectorDescription) -> [(Reply, Reply); 3] {
    let SelectorDescription { commands, keys, channels } = described;
    [("commands", commands), ("keys", keys), ("channels", channels)]
        .map(|(name, rules)| (Reply::bulk(name), Reply::bulk(rules)))
}

/// Returns an entry of the log, with the fields of Redis 7.2.
fn log_entry(entry: &LogEntry, now_ms: u64) -> Reply {
    let incident = &entry.incident;
    let number = |number: u64| Reply::Integer(number.cast_signed());
    let fields = [
        ("count", number(entry.count)),
        ("reason", Reply::bulk(incident.reason.name())),
        ("context", Reply::bulk(incident.context.name())),
        ("object", Reply::bulk(&incident.object)),
        ("username", Reply::bulk(&incident.username)),
        ("age-seconds", Reply::Double(entry.age_seconds(now_ms))),
        ("client-info", Reply::bulk(&incident.client_info)),
        ("entry-id", number(entry.id)),
        ("timestamp-created", number(entry.created_ms)),
        ("timestamp-last-updated", number(entry.updated_ms)),
    ];
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}
