//! Commands on the whole server. Commands on the disk reply like a Redis that has none.

use std::time::Duration;

use tracing::error;

use super::Answer;
use super::client::timeout;
use super::errors::{BUSY, CommandError, NOT_AN_INTEGER, SYNTAX_ERROR, help_wanted};
use super::help;
use super::spec::{Awaited, Outcome};
use crate::observe::clock::since_1970;
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;
use crate::session::context::Context;
use crate::session::effect::Effect;
use crate::version::REDIS_VERSION;

/// `HELP` of a container.
pub(crate) fn help(container: &[u8]) -> Reply {
    let name = String::from_utf8_lossy(container).to_ascii_lowercase();
    let upper = name.to_ascii_uppercase();
    let first = format!("{upper} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let mut lines = vec![Reply::Simple(first.into())];
    lines.extend(help::lines(&name).iter().map(|line| Reply::Simple((*line).into())));
    lines.extend(["HELP", "    Print this help."].map(|line| Reply::Simple(line.into())));
    Reply::Array(lines)
}

/// `TIME`
pub(super) fn time(now: Duration) -> Reply {
    let parts = [now.as_secs().to_string(), now.subsec_micros().to_string()];
    Reply::Array(parts.iter().map(Reply::bulk).collect())
}

/// `TIME` without the order. Returns `None` within a transaction, which sees one time. In a script
/// the time moves, as in Redis 7.0, since scripts that wait for it would never end.
pub(super) fn time_without_order(session: &Session) -> Option<Outcome> {
    (!session.runs_transaction).then(|| time(since_1970()).into())
}

/// `CLUSTER`
pub(super) fn cluster() -> Answer {
    Err(b"ERR This instance has cluster support disabled".to_vec())
}

/// `WAITAOF numlocal numreplicas timeout`
///
/// There is no append-only file, neither here nor on a replica.
pub(crate) fn waitaof(session: &Session, request: Request<'_>) -> Outcome {
    match append_only_files_and_time(request) {
        Ok((0, _)) => session.reached(Awaited::AppendOnlyFiles).into(),
        Ok((_, time)) => Outcome::Wait(or_without_end(time), Awaited::AppendOnlyFiles),
        Err(error) => Err(error).into(),
    }
}

/// Returns the wanted number of replicas and the timeout of `WAITAOF`.
fn append_only_files_and_time(request: Request<'_>) -> Result<(i64, Duration), CommandError> {
    let local = request::integer(request.argument(1)).ok_or(NOT_AN_INTEGER)?;
    if !(0..=1).contains(&local) {
        return Err(b"ERR value is out of range, value must between 0 and 1".to_vec());
    }
    let Some(replicas @ 0..) = request::integer(request.argument(2)) else {
        return Err(b"ERR value is out of range, must be positive".to_vec());
    };
    let time = timeout(request.argument(3))?;
    if local > 0 {
        return Err(
            b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.".to_vec()
        );
    }
    Ok((replicas, time))
}

/// Returns the time to wait. A timeout of zero means without end.
pub(super) fn or_without_end(timeout: Duration) -> Duration {
    if timeout.is_zero() { Duration::MAX } else { timeout }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [DRAIN seconds] | ABORT`
pub(crate) fn shutdown(session: &Session, request: Request<'_>, context: &mut Context) -> Outcome {
    match checked_shutdown(session, request) {
        Ok(Shutdown::Now) => {
            context.effects.push(Effect::ShutDown);
            Outcome::Replied
        }
        Ok(Shutdown::Drain(time)) => {
            session.server.drain.begin(time);
            Reply::ok().into()
        }
        Ok(Shutdown::Abort) if session.server.drain.cancel() => Reply::ok().into(),
        Ok(Shutdown::Abort) => Err(b"ERR No shutdown in progress.".to_vec()).into(),
        Err(error) => Err(error).into(),
    }
}

const ERRORS: &[u8] = b"ERR Errors trying to SHUTDOWN. Check logs.";

/// What `SHUTDOWN` asks for.
enum Shutdown {
    Now,
    /// First end all clients, over this time.
    Drain(Duration),
    Abort,
}

fn checked_shutdown(session: &Session, request: Request<'_>) -> Result<Shutdown, CommandError> {
    let mut options: Vec<Vec<u8>> =
        request.arguments_from(1).map(<[u8]>::to_ascii_lowercase).collect();
    let drain = match options.iter().position(|option| option == b"drain") {
        Some(at) => {
            let given: Vec<_> = options.drain(at..options.len().min(at + 2)).collect();
            let [_, seconds] = &given[..] else { return Err(SYNTAX_ERROR.to_vec()) };
            Some(drain_time(seconds)?)
        }
        None => None,
    };
    let has = |option: &[u8]| options.iter().any(|given| given == option);
    let is_known =
        |option: &Vec<u8>| matches!(&**option, b"nosave" | b"save" | b"now" | b"force" | b"abort");
    if !options.iter().all(is_known)
        || (has(b"abort") && (options.len() > 1 || drain.is_some()))
        || (has(b"save") && has(b"nosave"))
    {
        return Err(SYNTAX_ERROR.to_vec());
    }
    if has(b"abort") {
        return Ok(Shutdown::Abort);
    }
    let broker = &session.server.broker;
    let is_busy = broker.running_script().is_some_and(|run| run.is_late());
    let saves = !has(b"nosave") && !has(b"force") && !is_busy;
    if has(b"save") && saves && !broker.keeps_counters() {
        error!("cannot exit after SHUTDOWN SAVE: without counters-file nothing can be saved");
        return Err(ERRORS.to_vec());
    }
    if saves && let Err(error) = broker.save_counters() {
        error!(%error, "cannot save the counters file, so the server stays");
        return Err(ERRORS.to_vec());
    }
    match drain {
        _ if is_busy && !has(b"nosave") => Err(BUSY.to_vec()),
        Some(time) if !has(b"now") => Ok(Shutdown::Drain(time)),
        _ => Ok(Shutdown::Now),
    }
}

/// Reads the seconds of a drain.
fn drain_time(seconds: &[u8]) -> Result<Duration, CommandError> {
    let seconds = request::integer(seconds).and_then(|seconds| u32::try_from(seconds).ok());
    match seconds {
        Some(seconds) => Ok(Duration::from_secs(seconds.into())),
        None => Err(b"ERR DRAIN expects a number of seconds".to_vec()),
    }
}

/// `FAILOVER [TO server port [FORCE]] [ABORT] [TIMEOUT milliseconds]`
pub(crate) fn failover(session: &Session, request: Request<'_>) -> Answer {
    let options: Vec<Vec<u8>> = request.arguments_from(1).map(<[u8]>::to_ascii_lowercase).collect();
    let mut at = 0;
    while let Some(option) = options.get(at) {
        at += match &**option {
            b"abort" if options.len() == 1 => return Err(b"ERR No failover in progress.".to_vec()),
            b"timeout" if at + 1 < options.len() => match request::integer(&options[at + 1]) {
                Some(1..) => 2,
                Some(_) => return Err(b"ERR FAILOVER timeout must be greater than 0".to_vec()),
                None => return Err(NOT_AN_INTEGER.to_vec()),
            },
            b"to" if at + 2 < options.len() => {
                request::integer(&options[at + 2]).ok_or(NOT_AN_INTEGER)?;
                3
            }
            b"force" => 1,
            _ => return Err(SYNTAX_ERROR.to_vec()),
        };
    }
    if session.server.replication.is_replica() {
        return Err(b"ERR FAILOVER is not valid when server is a replica.".to_vec());
    }
    Err(match session.server.replication.has_replicas() {
        false => b"ERR FAILOVER requires connected replicas.".to_vec(),
        true => {
            b"ERR FAILOVER is not supported here; SENTINEL FAILOVER, or REPLICAOF at both servers, \
            changes their roles"
                .to_vec()
        }
    })
}

pub(crate) fn is_flush_mode(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync")
}

/// `SCRIPT FLUSH [ASYNC | SYNC]` and `FUNCTION FLUSH [ASYNC | SYNC]`
pub(crate) fn check_flush(request: Request<'_>) -> Answer {
    let container = String::from_utf8_lossy(request.argument(0)).to_ascii_uppercase();
    match request.len() {
        2 => Ok(Reply::ok()),
        3 if is_flush_mode(request.argument(2)) => Ok(Reply::ok()),
        _ if container == "SCRIPT" => {
            Err(b"ERR SCRIPT FLUSH only support SYNC|ASYNC option".to_vec())
        }
        4.. => Err(help_wanted("FUNCTION", request.argument(1))),
        _ => Err(b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option".to_vec()),
    }
}

/// `SCRIPT DEBUG YES | SYNC | NO`. There is no debugger.
pub(crate) fn script_debug(request: Request<'_>) -> Answer {
    match &*request.argument(2).to_ascii_lowercase() {
        b"no" => Ok(Reply::ok()),
        b"yes" | b"sync" => Err(b"ERR scripts cannot be debugged on this server".to_vec()),
        _ => Err(b"ERR Use SCRIPT DEBUG YES/SYNC/NO".to_vec()),
    }
}

/// `MEMORY DOCTOR`
pub(crate) fn memory_doctor() -> Reply {
    Reply::Verbatim("Keys and clients use most of the memory.\n".into())
}

/// `MEMORY MALLOC-STATS`
pub(crate) fn memory_malloc_stats() -> Reply {
    Reply::Verbatim("Stats not supported for the current allocator".into())
}

/// `LOLWUT [VERSION version]`
pub(crate) fn lolwut(request: Request<'_>) -> Answer {
    if request.len() > 2 && request.argument(1).eq_ignore_ascii_case(b"version") {
        request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
    }
    Ok(Reply::Verbatim(format!("Redis ver. {REDIS_VERSION}\n").into()))
}
