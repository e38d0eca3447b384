//! Slow commands and latency.

use super::{Directive, Kind};
use crate::config::Config;
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, signed, texts, unsigned};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "slowlog-log-slower-than",
        change: Change::Free,
        is_shown: true,
        expects: "a number of microseconds, -1 for never",
        kind: Kind::Integer {
            min: -1,
            max: i64::MAX,
            get: |config| config.slowlog_log_slower_than,
            set: |config, micros| config.slowlog_log_slower_than = micros,
        },
    },
    Directive {
        name: "slowlog-max-len",
        change: Change::Free,
        is_shown: true,
        expects: "a number of commands",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| signed(config.slowlog_max_len),
            set: |config, count| config.slowlog_max_len = unsigned(count),
        },
    },
    Directive {
        name: "latency-monitor-threshold",
        change: Change::Free,
        is_shown: true,
        expects: "a number of milliseconds",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| config.latency_monitor_threshold.cast_signed(),
            set: |config, time| config.latency_monitor_threshold = time.cast_unsigned(),
        },
    },
    Directive {
        name: "latency-tracking",
        change: Change::Free,
        is_shown: true,
        expects: "yes or no",
        kind: Kind::Flag {
            at: |config| &mut config.latency_tracking,
            get: |config| config.latency_tracking,
        },
    },
    Directive {
        name: "latency-tracking-info-percentiles",
        change: Change::Free,
        is_shown: true,
        expects: "numbers from 0 to 100",
        kind: Kind::List {
            get: |config| texts(&config.latency_tracking_info_percentiles),
            set: set_percentiles,
        },
    },
];

fn set_percentiles(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    let percentile = |value: &Vec<u8>| {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
        match number {
            None => Err(Invalid::NotPercentiles),
            Some(number) if (0.0..=100.0).contains(&number) => {
                // Redis writes six decimals without trailing zeros.
                let text = format!("{number:.6}");
                Ok(text.trim_end_matches('0').trim_end_matches('.').to_owned())
            }
            Some(_) => Err(Invalid::PercentileRange),
        }
    };
    let is_none = matches!(values, [only] if only.is_empty());
    let values = if is_none { &[] } else { values };
    config.latency_tracking_info_percentiles =
        values.iter().map(percentile).collect::<Result<_, _>>()?;
    Ok(())
}
