//! Any text as a configuration file, and any words as flags. The result is settings or an error.

#![no_main]

use broker::ConfigFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().filter(|line| !may_include(line)).collect();
    if let Ok(mut loaded) = ConfigFile::from_text(&lines.join("\n")) {
        let _ = loaded.add_flags(&lines);
    }
    let words: Vec<&str> = lines.iter().flat_map(|line| line.split(' ')).collect();
    let _ = ConfigFile::default().add_flags(&words);
});

/// Returns whether a line may include another file of this machine. Quotes can hide the directive.
fn may_include(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let name = line.split_ascii_whitespace().next().unwrap_or_default();
    line.contains("include") || name.contains(['"', '\''])
}
