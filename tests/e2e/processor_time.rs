//! Every command with more and more arguments: its processor time grows in proportion.
//!
//! The commands come from the server, so a new one is covered without a change here. A command gets
//! a different word for each argument, unless [`ITEMS`] has a row for it. Each measurement sends the
//! same number of arguments, in few long or many short requests. The processor time is that of the
//! server's threads, so a busy machine does not change it much.
//!
//! It takes minutes: `cargo xtask long` runs it against the optimized build.

use std::time::Duration;

use harness::{Server, Value, request};

use super::filler::{Filler, Reads, at_rest, processor_time};
use super::server;

#[tokio::test]
#[ignore = "takes minutes; `cargo xtask long` runs it"]
async fn the_time_of_each_command_grows_as_its_arguments_do() {
    let server = server(&["--enable-debug-command", "yes", "--io-threads", "1"]).await;
    let mut faults = Vec::new();
    let commands = variadic(&server).await;
    for command in &commands {
        let mut times: Vec<(usize, Duration)> = Vec::new();
        for count in COUNTS {
            let time = time_per_item(&server, command, count).await;
            // The first counts show the cost of a request. From then on only a product grows.
            let grows = times
                .last()
                .is_some_and(|(_, before)| time > (*before * GROWTH_MAX).max(NEGLIGIBLE));
            times.push((count, time));
            if grows {
                faults.push(format!("{command}: {times:?}"));
                break;
            }
        }
        println!("{command}: {times:?}");
    }
    println!("processor time: {} commands", commands.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Returns the names of all commands and subcommands that take any number of arguments.
async fn variadic(server: &Server) -> Vec<String> {
    let mut client = server.client().await;
    let commands = client.command(&["COMMAND"]).await;
    let all = commands.items().iter().flat_map(|command| {
        let subcommands = command.items()[SUBCOMMANDS].items();
        [command].into_iter().chain(subcommands)
    });
    let variadic = all.filter(|command| command.items()[1].integer() < 0);
    let names = variadic.map(|command| Value::text(&command.items()[0]).to_owned());
    let mut names: Vec<String> = names.filter(|name| !SKIPPED.contains(&&**name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the processor time of one argument, in requests with this many.
async fn time_per_item(server: &Server, command: &str, count: usize) -> Duration {
    let (before, item) = ITEMS
        .iter()
        .find(|(name, ..)| *name == command)
        .map_or(("", "word{n}"), |(_, before, item)| (*before, *item));
    let mut words: Vec<String> = command.split('|').map(String::from).collect();
    words.extend(before.split_whitespace().map(|word| word.replace("{count}", &count.to_string())));
    for number in 0..count {
        let number = number.to_string();
        words.extend(item.split_whitespace().map(|word| word.replace("{n}", &number)));
    }
    let request = request(&words);

    let mut client = Filler::connect(server, Reads::All).await;
    client.send(b"HELLO 3\r\n").await;
    // The first request brings all into the state in which the others find it.
    client.send(&request).await;
    at_rest(server, std::slice::from_mut(&mut client), QUIET).await;
    let start = processor_time(server);
    let times = (ARGUMENTS / count).max(1);
    for _ in 0..times {
        client.send(&request).await;
    }
    at_rest(server, std::slice::from_mut(&mut client), QUIET).await;
    let took = processor_time(server) - start;
    client.send(b"RESET\r\nFLUSHALL\r\n").await;
    at_rest(server, std::slice::from_mut(&mut client), QUIET).await;
    took / u32::try_from(times * count).expect("a small number")
}

/// The index of the subcommands in a row of `COMMAND`.
const SUBCOMMANDS: usize = 9;
const COUNTS: [usize; 4] = [16, 256, 4_096, 65_536];
/// The arguments of one measurement.
const ARGUMENTS: usize = 131_072;
/// A product of two inputs would grow sixteenfold.
const GROWTH_MAX: u32 = 4;
/// Caches of the processor make small differences large. A product takes far more with 65,536 arguments.
const NEGLIGIBLE: Duration = Duration::from_micros(1);
const QUIET: Duration = Duration::from_millis(40);

/// Commands that end the connection or the server.
const SKIPPED: &[&str] = &["quit", "shutdown", "failover", "sync", "psync"];

/// Rows for commands that refuse many words: the words before the items, and an item.
const ITEMS: &[(&str, &str, &str)] = &[
    ("acl|setuser", "ann reset", "~key{n} &channel{n} >password{n} +select|{n}"),
    ("client|kill", "", "ID 99{n}"),
    ("client|list", "ID", "99{n}"),
    ("client|tracking", "ON BCAST", "PREFIX {n}:"),
    ("command|getkeys", "MGET", "word{n}"),
    ("command|getkeysandflags", "MGET", "word{n}"),
    ("eval", "return{} {count}", "word{n}"),
    ("eval_ro", "return{} {count}", "word{n}"),
    ("mset", "", "word{n} v"),
    ("msetnx", "", "word{n} v"),
    ("object", "", "word{n}"),
];
