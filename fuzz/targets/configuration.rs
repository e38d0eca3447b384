//! Any text as a configuration file, and any words as flags: settings come of it, or an error.

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

/// Whether a line may have another file read, whatever that is. Quotes can hide the word.
fn may_include(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let name = line.split_ascii_whitespace().next().unwrap_or_default();
    line.contains("include") || name.contains(['"', '\''])
}
