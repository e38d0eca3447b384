//! The pages of `man`.

use super::entry::{Manual, Piece};
use super::spans::{Span, spans};
use super::{changes, default_of};
use crate::config::directive::all;

/// The page of the program, with `{version}`, `{date}` and `{directives}`.
const PROGRAM: &str = include_str!("program.1");
/// The date of this version, since a page needs one.
const DATE: &str = "2026-11-30";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns `relaybox(1)`.
pub(super) fn program(manual: &Manual) -> String {
    let mut directives = String::new();
    for directive in all() {
        let summary = escape(manual.entry(directive.name).summary());
        let name = escape(directive.name);
        directives.push_str(&format!(".TP\n.BI \\-\\-{name} \" value\"\n{summary}.\n"));
    }
    let page = PROGRAM.replace("{version}", VERSION).replace("{date}", DATE);
    page.replace("{directives}\n", &directives)
}

/// Returns `relaybox.conf(5)`.
pub(super) fn settings(manual: &Manual) -> String {
    let mut page = format!(
        ".\\\" Made from redis.conf.example and the table of directives by a test of the broker.\n\
         .TH RELAYBOX.CONF 5 {DATE} \"relaybox {VERSION}\"\n.SH NAME\n\
         relaybox.conf \\- settings of the broker relaybox\n.SH DESCRIPTION\n"
    );
    add(&mut page, &manual.introduction, ".PP");
    for section in &manual.sections {
        page.push_str(&format!(".SH {}\n", section.title));
        for entry in &section.entries {
            let mut names = entry.names.iter();
            if let Some(name) = names.next() {
                page.push_str(&format!(".TP\n.B {}\n", escape(name)));
            }
            names.for_each(|name| page.push_str(&format!(".TQ\n.B {}\n", escape(name))));
            add(&mut page, &entry.pieces, ".IP");
            for directive in entry.directives() {
                let (expects, change) = (escape(directive.expects), changes(directive));
                let name = escape(directive.name);
                let mut line = format!(".IP\nValues of \\fB{name}\\fR: {expects}.");
                let default = default_of(directive);
                if !default.is_empty() {
                    line.push_str(&format!("\nDefault: \\fB{}\\fR.", escape(&default)));
                }
                page.push_str(&format!("{line}\nCONFIG SET: {}.\n", escape(change)));
            }
        }
    }
    page.push_str(".SH SEE ALSO\n.BR relaybox (1)\n");
    page
}

/// Adds pieces; `paragraph` is the macro between them.
fn add(page: &mut String, pieces: &[Piece], paragraph: &str) {
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Prose { label, text } => {
                // The first one begins behind the heading or the tag.
                if at > 0 {
                    page.push_str(&format!("{paragraph}\n"));
                }
                if let Some(label) = label {
                    page.push_str(&format!("{label}: "));
                }
                spans(text).iter().for_each(|span| add_span(page, span));
                page.push('\n');
            }
            Piece::Code(lines) => {
                let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
                page.push_str(&format!("{paragraph}\n.nf\n{}\n.fi\n", lines.join("\n")));
            }
        }
    }
}

fn add_span(page: &mut String, span: &Span) {
    match span {
        Span::Code(code) => page.push_str(&format!("\\fB{}\\fR", escape(code))),
        Span::Text(words) => page.push_str(&escape(words)),
    }
}

/// Returns a text whose letters mean themselves.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '"' => escaped.push_str("\\(dq"),
            letter => escaped.push(letter),
        }
    }
    // A full stop at the beginning of a line is a request.
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}
