//! The origin of the figures: the machine, the versions and the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::systems::SystemUnderTest;

/// Returns the first line of a file that starts with `key`: its text after the colon, if it has one.
fn line_of(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_once(':').map_or(line, |(_, value)| value).trim().to_owned()
}

fn processor() -> String {
    line_of("/proc/cpuinfo", "model name")
}

pub(crate) fn processors() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// Returns the model and the number of processors, as a name for a directory.
pub(crate) fn name() -> String {
    let name = processor().to_ascii_lowercase();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(4).collect();
    format!("{}-{}", words.join("-"), processors())
}

/// Returns the text below each picture.
pub(crate) fn caption(date: &str) -> String {
    let machine = format!("{} x {}", processors(), processor());
    format!("{date}, {machine}. Median of all rounds; pale bars span the lowest and the highest.")
}

/// Returns the head of the summary.
pub(crate) fn heading(systems: &[SystemUnderTest]) -> String {
    let version = |system: &SystemUnderTest| {
        let output = Command::new(&system.command[0]).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // Our servers of a hub are this program, which has no version of its own.
        (!text.is_empty()).then(|| format!("- {}: {text}", system.name))
    };
    let versions: Vec<String> =
        systems.iter().filter(|each| !each.is_baseline).filter_map(version).collect();
    let mut words = std::env::args();
    let own = words.next().unwrap_or_default();
    let own = Path::new(&own).file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Paths of this machine do not belong in the results.
    let command: Vec<String> = words.filter(|word| !word.starts_with('/')).collect();
    format!(
        "# Cost of servers\n\n- processors: {} x {}\n- kernel: {}\n- command: `{own} {}`\n{}\n",
        processors(),
        processor(),
        line_of("/proc/sys/kernel/osrelease", ""),
        command.join(" "),
        versions.join("\n"),
    )
}
