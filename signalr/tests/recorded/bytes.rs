//! The spelling of bytes in the files: of bytes to send and of received ones.
//!
//! The record separator of hub messages is written as `␞`. `<x*9>` stands for nine times `x`.
//! Ids that a server makes up are masked.

use std::ops::RangeInclusive;

/// Reads text with `␞` and repetitions.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, repetition)) = rest.split_once('<') {
        let Some((body, after)) = repetition.split_once('>') else { break };
        let Some((unit, count)) = body.split_once('*') else { break };
        bytes.extend_from_slice(before.as_bytes());
        bytes.extend(unit.repeat(count.parse().unwrap()).into_bytes());
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap().replace(SEPARATOR, "\u{1e}").into_bytes()
}

/// Reads bytes in hexadecimal. `00*9` stands for nine times `00`.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .flat_map(|word| {
            let (digits, count) = word.split_once('*').unwrap_or((word, "1"));
            let unit: Vec<u8> = (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect();
            unit.repeat(count.parse().unwrap())
        })
        .collect()
}

/// Shows received text.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('\u{1e}', SEPARATOR).replace('\r', r"\r").replace('\n', r"\n");
    let text = KEYS.iter().fold(masked(&text), |text, key| without_value(&text, key));
    without_runs(&text)
}

/// Shows received bytes: as text if they are text, else in hexadecimal.
pub(crate) fn escape_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => escape(text),
        Err(_) => hex(bytes),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces connection ids and tokens. Both stand in quotation marks, and are no keys.
fn masked(text: &str) -> String {
    let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let parts: Vec<&str> = text.split('"').collect();
    let shown = parts.iter().enumerate().map(|(index, part)| {
        let is_key = parts.get(index + 1).is_none_or(|next| next.starts_with(':'));
        let is_id = ID_CHARS.contains(&part.len()) && part.bytes().all(is_of_id);
        if is_id && !is_key { "ID" } else { part }
    });
    shown.collect::<Vec<_>>().join("\"")
}

/// Masks the values of one key: tokens and cursors of any length.
fn without_value(text: &str, key: &str) -> String {
    let mut parts = text.split(key);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| match part.split_once('"') {
        Some((_, after)) => format!("{shown}{key}ID\"{after}"),
        None => shown + key + part,
    })
}

/// Shortens long runs of the letter that fills big messages.
fn without_runs(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(FILLER) {
        let count = rest[start..].bytes().take_while(|byte| *byte == b'x').count();
        shown.push_str(&rest[..start]);
        match count >= RUN_MIN {
            true => shown.push_str(&format!("<x*{count}>")),
            false => shown.push_str(&rest[start..start + count]),
        }
        rest = &rest[start + count..];
    }
    shown + rest
}

/// Keys whose values a server of SignalR 2 makes up.
const KEYS: [&str; 3] = [r#""ConnectionToken":""#, r#""C":""#, r#""G":""#];
const SEPARATOR: &str = "␞";
/// The lengths of a connection id, and of tokens with a signature.
const ID_CHARS: RangeInclusive<usize> = 22..=100;
const FILLER: char = 'x';
/// The shortest run that is shortened.
const RUN_MIN: usize = 20;
