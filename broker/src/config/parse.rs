//! Readers of the values of directives, and the errors for values that are refused.
//!
//! The error texts are Redis', since tools look for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::address::Port;

/// The reason why a value is refused, with Redis' text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Invalid {
    #[error("wrong number of arguments")]
    ArgumentCount,
    #[error("argument couldn't be parsed into an integer")]
    NotAnInteger,
    #[error("argument must be between {0} and {1} inclusive")]
    OutOfRange(i64, i64),
    #[error("argument must be a memory value")]
    NotMemory,
    #[error("argument must be 'yes' or 'no'")]
    NotAFlag,
    #[error("argument(s) must be one of the following: {0}")]
    NotAChoice(String),
    #[error("argument must be a memory or percent value")]
    NotMemoryOrPercent,
    #[error("percentage argument must be less or equal to 100")]
    PercentTooHigh,
    #[error("{0}")]
    PasswordFile(String),
    #[error("argument must be disconnect, drop-oldest, drop-newest or conflate")]
    SlowPolicy,
    #[error(
        "argument must be a user, then limits: clients, subscriptions, message-bytes or messages"
    )]
    UserLimits,
    #[error("Invalid event character. Use 'ov'.")]
    ChannelEvent,
    #[error("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")]
    EventClass,
    #[error("Invalid latency-tracking-info-percentiles parameters")]
    NotPercentiles,
    #[error("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")]
    PercentileRange,
    #[error("shutdown options SAVE and NOSAVE can't be used simultaneously")]
    SaveAndNoSave,
    #[error("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")]
    Scores,
    #[error("Invalid master port")]
    MasterPort,
    #[error("{0}")]
    Directory(&'static str),
    #[error("argument must be an octal value between 0 and 777 inclusive")]
    NotOctal,
    #[error("Invalid save parameters")]
    SaveParameters,
    #[error("Error in user declaration: {0}")]
    User(String),
    #[error("No such command in rename-command")]
    NoSuchCommand,
    #[error("Target command name already exists")]
    NameTaken,
    #[error("Too many bind addresses specified.")]
    TooManyAddresses,
    #[error("Wrong number of arguments in buffer limit configuration.")]
    LimitCount,
    #[error("Invalid client class specified in buffer limit configuration.")]
    LimitClass,
    #[error("Error in hard, soft or soft_seconds setting in buffer limit configuration.")]
    LimitValue,
}

/// Splits a value that holds several values.
pub(super) fn split_blanks(value: &[u8]) -> Vec<Vec<u8>> {
    value.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect()
}

pub(super) fn integer(value: &[u8], min: i64, max: i64) -> Result<i64, Invalid> {
    let text = std::str::from_utf8(value).map_err(|_| Invalid::NotAnInteger)?;
    let number: i64 = text.parse().map_err(|_| Invalid::NotAnInteger)?;
    // Redis takes one spelling of each number: no plus, no leading zero, no `-0`.
    if number.to_string() != text {
        return Err(Invalid::NotAnInteger);
    }
    if (min..=max).contains(&number) { Ok(number) } else { Err(Invalid::OutOfRange(min, max)) }
}

/// Reads a TCP port: 0 for none, `any` for a free one.
pub(super) fn port(value: &[u8]) -> Result<Port, Invalid> {
    if value.eq_ignore_ascii_case(b"any") {
        return Ok(Port::Any);
    }
    let number = integer(value, 0, u16::MAX.into())?;
    Ok(Port::bound(u16::try_from(number).unwrap_or_default()))
}

pub(super) fn memory_within(value: &[u8], min: i64) -> Result<usize, Invalid> {
    let bytes = memory(value).ok_or(Invalid::NotMemory)?;
    // Redis' settings are signed numbers, except those that begin at 0.
    let is_within = min <= 0 || i64::try_from(bytes).is_ok_and(|bytes| bytes >= min);
    if is_within { Ok(bytes) } else { Err(Invalid::OutOfRange(min, i64::MAX)) }
}

/// Reads a number of bytes with a unit of Redis: `1kb` is 1024, `1k` is 1000. As in Redis, no
/// digits are 0, and too many are the largest number.
pub(super) fn memory(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let factor: usize = match &*unit.to_ascii_lowercase() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1024,
        "m" => 1_000_000,
        "mb" => 1024 * 1024,
        "g" => 1_000_000_000,
        "gb" => 1024 * 1024 * 1024,
        _ => return None,
    };
    let number = match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(usize::MAX),
    };
    Some(number.saturating_mul(factor))
}

pub(super) fn flag(value: &[u8]) -> Result<bool, Invalid> {
    match &*value.to_ascii_lowercase() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Invalid::NotAFlag),
    }
}

pub(super) fn choice(value: &[u8], names: &[&str]) -> Result<usize, Invalid> {
    names
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(value))
        .ok_or_else(|| Invalid::NotAChoice(names.join(", ")))
}

pub(super) fn texts(list: &[String]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.clone().into_bytes()).collect()
}

pub(super) fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

pub(super) fn seconds_of(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

#[cfg(unix)]
pub(super) fn path_from(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(unix)]
pub(super) fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(not(unix))]
pub(super) fn path_from(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(not(unix))]
pub(super) fn path_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}
