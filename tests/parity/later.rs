//! The second reference: redis-server 8.2, for replies in which we follow Redis 7.2.
//!
//! Such a reply differs from that of Redis 7.0, so a row of `differences.txt` with `since` covers it.
//! Redis 8.2 has kept most of 7.2, so its reply to the same step must equal ours.
//! `differences-8.2.txt` lists the steps in which 8.2 differs from 7.2, with the same kinds of rows.
//!
//! `cargo xtask peers` fetches the server. Without it, Redis 7.0 is the only reference.

use std::collections::{BTreeMap, BTreeSet};

use harness::Kind;

use crate::difference::{self, Row};
use crate::{Led, directory, lead_all, only, shown, text_of};

/// The steps in which we follow a later release, by conversation, with their rows.
type Steps<'a> = BTreeMap<&'a str, BTreeMap<usize, Vec<&'a Row>>>;

/// Compares each reply that follows a later release with that of redis-server 8.2.
///
/// # Panics
///
/// When a reply differs and no row covers it, or a row with `since: 7.2` has no equal reply.
pub(crate) async fn check(results: &[Led], rows: &[Row]) {
    if harness::redis_8_bin().is_none() {
        println!("parity: no redis-server 8.2, only 7.0.15; `cargo xtask peers` fetches it");
        return;
    }
    let newer = difference::read(&text_of(&directory().join("differences-8.2.txt")));
    let newer = newer.unwrap_or_else(|error| panic!("in differences-8.2.txt: {error}"));
    let known: Vec<&Row> =
        newer.iter().chain(rows.iter().filter(|row| row.since.is_none())).collect();
    let steps = steps(results, rows);
    let conversations = results.iter().map(|led| &led.conversation);
    let conversations = conversations.filter(|each| steps.contains_key(&*each.name)).cloned();
    let later = lead_all((Kind::Ours, Kind::Redis8), conversations.collect()).await;

    let Compared { confirmed, differing } = compare(&later, &steps, &known);
    let followed: Vec<(&Row, &str)> =
        rows.iter().filter_map(|row| Some((row, row.since.as_deref()?))).collect();
    println!(
        "parity: redis-server 8.2 confirms {} of {} rows that follow Redis 7.2",
        confirmed.len(),
        followed.len()
    );
    assert!(differing.is_empty(), "redis-server 8.2 differs:\n{differing}");
    if only().is_some() {
        return;
    }
    let is_wrong =
        |(row, since): &(&Row, &str)| confirmed.contains(&*row.name) != (*since == "7.2");
    let wrong: Vec<&str> =
        followed.into_iter().filter(is_wrong).map(|(row, _)| &*row.name).collect();
    assert!(
        wrong.is_empty(),
        "expected `since: 7.2`, or `since: 7.2, unlike 8.2` if no step is confirmed: {wrong:#?}"
    );
    let idle: Vec<&str> = difference::idle(&newer).into_iter().map(|row| &*row.name).collect();
    assert!(idle.is_empty(), "redis-server 8.2 no longer differs: {idle:#?}");
}

/// The result of a comparison with redis-server 8.2.
#[derive(Debug, Default)]
struct Compared<'a> {
    /// The names of rows with an equal reply.
    confirmed: BTreeSet<&'a str>,
    /// The differences that no row covers.
    differing: String,
}

/// Compares the replies of these steps, except for differences that `known` rows cover.
fn compare<'a>(later: &[Led], steps: &Steps<'a>, known: &[&Row]) -> Compared<'a> {
    let mut compared = Compared::default();
    for led in later {
        let differences = led.differences().into_iter().map(|at| (at.index, at));
        let mut differences: BTreeMap<_, _> = differences.collect();
        for (index, rows) in &steps[&*led.conversation.name] {
            let names = rows.iter().map(|row| &*row.name);
            let difference = differences.remove(index);
            let needed = difference.map(|at| difference::named(known.iter().copied(), at));
            match needed.unwrap_or_else(|| Ok(Vec::new())) {
                Ok(needed) if needed.iter().any(|row| row.replaces()) => {}
                Ok(_) => compared.confirmed.extend(names),
                Err(at) => {
                    let names: Vec<&str> = names.collect();
                    let head = format!("== {}: {}\n", at.conversation, names.join(", "));
                    compared.differing += &(head + &shown(&at));
                }
            }
        }
    }
    compared
}

/// Returns the steps whose difference needs a row with `since`.
fn steps<'a>(results: &'a [Led], rows: &'a [Row]) -> Steps<'a> {
    let mut steps = Steps::new();
    for led in results {
        for at in led.differences() {
            let index = at.index;
            let Ok(needed) = difference::named(rows, at) else { continue };
            let later: Vec<&Row> = needed.into_iter().filter(|row| row.since.is_some()).collect();
            if !later.is_empty() {
                steps.entry(&*led.conversation.name).or_default().insert(index, later);
            }
        }
    }
    steps
}
