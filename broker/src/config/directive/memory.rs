//! Limits of memory.

use super::{Directive, Kind};
use crate::config::ignored::Change;
use crate::config::parse::{Invalid, integer, memory, seconds, seconds_of};
use crate::config::{ClientMemory, Config, OutputLimit};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "client-output-buffer-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a class (normal, replica or pubsub), a hard limit, a soft limit and its seconds",
        kind: Kind::List { get: show_output_limits, set: set_output_limits },
    },
    Directive {
        name: "client-query-buffer-limit",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value of 1mb or more",
        kind: Kind::Memory {
            min: 1024 * 1024,
            get: |config| config.client_query_buffer_limit,
            set: |config, bytes| config.client_query_buffer_limit = bytes,
        },
    },
    Directive {
        name: "proto-max-bulk-len",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value of 1mb or more",
        kind: Kind::Memory {
            min: 1024 * 1024,
            get: |config| config.proto_max_bulk_len,
            set: |config, bytes| config.proto_max_bulk_len = bytes,
        },
    },
    Directive {
        name: "maxmemory",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value",
        kind: Kind::Memory {
            min: 0,
            get: |config| config.maxmemory,
            set: |config, bytes| config.maxmemory = bytes,
        },
    },
    Directive {
        name: "maxmemory-clients",
        change: Change::Free,
        is_shown: true,
        expects: "a memory value, or a percentage of maxmemory",
        kind: Kind::Text { get: show_client_memory, set: set_client_memory },
    },
    Directive {
        name: "tracking-table-max-keys",
        change: Change::Free,
        is_shown: true,
        expects: "a number",
        kind: Kind::Integer {
            min: 0,
            max: i64::MAX,
            get: |config| i64::try_from(config.tracking_table_max_keys).unwrap_or(i64::MAX),
            set: |config, count| {
                config.tracking_table_max_keys = usize::try_from(count).unwrap_or(0);
            },
        },
    },
];

fn show_client_memory(config: &Config) -> Vec<u8> {
    match config.maxmemory_clients {
        ClientMemory::Bytes(bytes) => bytes.to_string(),
        ClientMemory::Percent(percent) => format!("{percent}%"),
    }
    .into_bytes()
}

fn set_client_memory(config: &mut Config, value: &[u8]) -> Result<(), Invalid> {
    config.maxmemory_clients = if let Some(digits) = value.strip_suffix(b"%") {
        let percent = integer(digits, 0, i64::MAX).map_err(|_| Invalid::NotMemoryOrPercent)?;
        let percent = u8::try_from(percent).ok().filter(|&percent| percent <= 100);
        match percent.ok_or(Invalid::PercentTooHigh)? {
            0 => ClientMemory::Bytes(0),
            percent => ClientMemory::Percent(percent),
        }
    } else {
        ClientMemory::Bytes(memory(value).ok_or(Invalid::NotMemoryOrPercent)?)
    };
    Ok(())
}

fn set_output_limits(config: &mut Config, values: &[Vec<u8>]) -> Result<(), Invalid> {
    if let [empty] = values
        && empty.is_empty()
    {
        return Ok(());
    }
    if values.is_empty() || !values.len().is_multiple_of(4) {
        return Err(Invalid::LimitCount);
    }
    let mut limits = config.client_output_buffer_limit;
    for group in values.chunks_exact(4) {
        let class = match &*group[0].to_ascii_lowercase() {
            b"normal" => &mut limits.normal,
            b"slave" | b"replica" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => return Err(Invalid::LimitClass),
        };
        let bytes = |value: &[u8]| memory(value).ok_or(Invalid::LimitValue);
        let time = integer(&group[3], 0, i32::MAX.into()).map_err(|_| Invalid::LimitValue)?;
        *class = OutputLimit {
            hard_bytes: bytes(&group[1])?,
            soft_bytes: bytes(&group[2])?,
            soft_time: seconds(time),
        };
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

fn show_output_limits(config: &Config) -> Vec<Vec<u8>> {
    let limits = &config.client_output_buffer_limit;
    [("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub)]
        .into_iter()
        .flat_map(|(class, limit)| {
            let OutputLimit { hard_bytes, soft_bytes, soft_time } = limit;
            [
                class.into(),
                hard_bytes.to_string(),
                soft_bytes.to_string(),
                seconds_of(soft_time).to_string(),
            ]
        })
        .map(String::into_bytes)
        .collect()
}
