//! The book in `docs`: every command in it runs, with the output that the text shows.
//!
//! A chapter runs from its beginning to its end, in one shell and one empty folder. Its ports are
//! replaced by free ones, so chapters run beside each other.
//!
//! | module     | subject                                                   |
//! |------------|-----------------------------------------------------------|
//! | `chapter`  | the blocks of a chapter: files, and commands with outputs |
//! | `expected` | compares an output with the text                          |
//! | `links`    | the list of chapters, and links between them              |
//! | `shell`    | runs commands in one shell                                |
//!
//! Rust code of the book compiles and runs as documentation examples of the harness.

mod chapter;
mod expected;
mod links;
mod shell;

use chapter::{Chapter, Step};
use shell::Shell;

/// Makes a test of each chapter, and their list.
macro_rules! chapters {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                run(stringify!($name)).await;
            }
        )*

        /// The names of the tests.
        const CHAPTERS: &[&str] = &[$(stringify!($name)),*];
    };
}

chapters! {
    introduction replace install configuration embed hubs scale_out operate standby metrics see secure tune migrate
    windows containers troubles compatibility libraries threats
}

async fn run(name: &str) {
    let chapter = Chapter::read(name);
    let mut shell = Shell::start();
    for step in &chapter.steps {
        match step {
            Step::File { name, text } => shell.write(name, text),
            Step::Command(command) => shell.run(command).await,
        }
    }
}

#[test]
fn every_chapter_has_a_test() {
    let mut found: Vec<String> = std::fs::read_dir(chapter::folder())
        .expect("the book is there")
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned())
        .filter_map(|name| Some(name.strip_suffix(".md")?.replace('-', "_")))
        .filter(|name| name != "SUMMARY")
        .collect();
    found.sort_unstable();
    let mut tested = CHAPTERS.to_vec();
    tested.sort_unstable();
    assert_eq!(found, tested);
}

/// The reasons stand in the chapters, where readers of their sources find them.
#[test]
fn few_blocks_do_not_run() {
    let chapters = CHAPTERS.iter().map(|name| Chapter::read(name));
    let (skipped, run) = chapters.fold((0, 0), |(skipped, run), chapter| {
        (skipped + chapter.skipped, run + chapter.steps.len())
    });
    assert!(skipped * 5 <= run, "{skipped} blocks do not run, beside {run} steps");
}
