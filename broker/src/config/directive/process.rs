//! The process: threads, files, the log and commands for operators.

use super::{Directive, Kind};
use crate::config::ignored::Change;
use crate::config::parse::{signed, unsigned};
use crate::config::{LogFormat, LogLevel, LogTime, ProtectedAction, SyslogFacility};

const FACILITIES: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "io-threads",
        change: Change::Immutable,
        is_shown: true,
        expects: "a number from 1 to 128",
        kind: Kind::Integer {
            min: 1,
            max: 128,
            get: |config| signed(config.io_threads),
            set: |config, threads| config.io_threads = unsigned(threads),
        },
    },
    Directive {
        name: "loglevel",
        change: Change::Free,
        is_shown: true,
        expects: "debug, verbose, notice, warning or nothing",
        kind: Kind::Choice {
            names: LOG_LEVELS,
            get: |config| config.loglevel as usize,
            set: |config, index| {
                config.loglevel = match index {
                    0 => LogLevel::Debug,
                    1 => LogLevel::Verbose,
                    2 => LogLevel::Notice,
                    3 => LogLevel::Warning,
                    _ => LogLevel::Nothing,
                }
            },
        },
    },
    Directive {
        name: "log-format",
        change: Change::Immutable,
        is_shown: true,
        expects: "legacy, logfmt or json",
        kind: Kind::Choice {
            names: &["legacy", "logfmt", "json"],
            get: |config| config.log_format as usize,
            set: |config, index| {
                config.log_format = match index {
                    0 => LogFormat::Legacy,
                    1 => LogFormat::Logfmt,
                    _ => LogFormat::Json,
                }
            },
        },
    },
    Directive {
        name: "log-timestamp-format",
        change: Change::Immutable,
        is_shown: true,
        expects: "legacy, iso8601 or milliseconds",
        kind: Kind::Choice {
            names: &["legacy", "iso8601", "milliseconds"],
            get: |config| config.log_timestamp_format as usize,
            set: |config, index| {
                config.log_timestamp_format = match index {
                    0 => LogTime::Legacy,
                    1 => LogTime::Iso8601,
                    _ => LogTime::Milliseconds,
                }
            },
        },
    },
    Directive {
        name: "syslog-enabled",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.syslog_enabled,
            get: |config| config.syslog_enabled,
        },
    },
    Directive {
        name: "syslog-ident",
        change: Change::Immutable,
        is_shown: true,
        expects: "a name for the lines",
        kind: Kind::Text {
            get: |config| config.syslog_ident.clone(),
            set: |config, ident| {
                config.syslog_ident = ident.to_vec();
                Ok(())
            },
        },
    },
    Directive {
        name: "syslog-facility",
        change: Change::Immutable,
        is_shown: true,
        expects: "user, or local0 to local7",
        kind: Kind::Choice {
            names: FACILITIES,
            get: |config| match config.syslog_facility {
                SyslogFacility::User => 0,
                SyslogFacility::Local(number) => usize::from(number.min(7)) + 1,
            },
            set: |config, index| {
                config.syslog_facility = match u8::try_from(index) {
                    Ok(index @ 1..) => SyslogFacility::Local(index - 1),
                    _ => SyslogFacility::User,
                }
            },
        },
    },
    Directive {
        name: "logfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for standard output",
        kind: Kind::Path { at: |config| &mut config.logfile, get: |config| config.logfile.clone() },
    },
    Directive {
        name: "daemonize",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag { at: |config| &mut config.daemonize, get: |config| config.daemonize },
    },
    Directive {
        name: "set-proc-title",
        change: Change::Immutable,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.set_proc_title,
            get: |config| config.set_proc_title,
        },
    },
    Directive {
        name: "pidfile",
        change: Change::Immutable,
        is_shown: true,
        expects: "the path of a file, or \"\" for none",
        kind: Kind::Path { at: |config| &mut config.pidfile, get: |config| config.pidfile.clone() },
    },
    Directive {
        name: "dir",
        change: Change::Protected,
        is_shown: true,
        expects: "the path of a directory",
        kind: Kind::Path {
            at: |config| &mut config.dir,
            get: |config| config.dir.clone().or_else(|| std::env::current_dir().ok()),
        },
    },
    Directive {
        name: "enable-debug-command",
        change: Change::Immutable,
        is_shown: true,
        expects: "no, yes or local",
        kind: Kind::Choice {
            names: ProtectedAction::NAMES,
            get: |config| config.enable_debug_command as usize,
            set: |config, index| config.enable_debug_command = ProtectedAction::from(index),
        },
    },
    Directive {
        name: "enable-protected-configs",
        change: Change::Immutable,
        is_shown: true,
        expects: "no, yes or local",
        kind: Kind::Choice {
            names: ProtectedAction::NAMES,
            get: |config| config.enable_protected_configs as usize,
            set: |config, index| config.enable_protected_configs = ProtectedAction::from(index),
        },
    },
];

const LOG_LEVELS: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];
