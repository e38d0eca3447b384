//! The part of COMPATIBILITY.md about directives, made from the tables.

use super::directive;
use super::ignored::IGNORED;
use super::promises::{PROMISES, Promise, Verdict};

/// Returns the section, with one table or list for each class of directives.
pub(crate) fn section() -> String {
    let mut text = String::from(
        "\n## Directives\n\nEach directive of Redis and Valkey is in force, refused, ignored with a \
         warning, or ignored\nwithout a consequence. `CONFIG SET` refuses the values of the second and \
         third class.\n\n### In force\n\n| directive | expects |\n|---|---|\n",
    );
    for directive in directive::all() {
        text.push_str(&format!("| `{}` | {} |\n", directive.name, directive.expects));
    }
    text.push_str("\n### Refused: the server does not start\n\n");
    text.push_str(&promises(Verdict::Refuse));
    text.push_str("\n### Ignored with a warning\n\n");
    text.push_str(&promises(Verdict::Warn));
    text.push_str(
        "\n### Ignored without a consequence\n\nThe log lists them once, at `notice`.\n\n",
    );
    for directive in IGNORED.iter().filter(|directive| !has_promise(&directive.canonical())) {
        text.push_str(&format!("- `{}`\n", directive.name));
    }
    text
}

fn promises(verdict: Verdict) -> String {
    let mut text = String::from("| directive | unless | consequence |\n|---|---|---|\n");
    for promise in PROMISES.iter().filter(|promise| promise.verdict == verdict) {
        let Promise { harmless, consequence, .. } = promise;
        let values: Vec<String> = harmless
            .iter()
            .map(|value| if value.is_empty() { "`\"\"`".to_owned() } else { format!("`{value}`") })
            .collect();
        let names: Vec<String> = IGNORED
            .iter()
            .filter(|directive| directive.canonical() == promise.name)
            .map(|directive| format!("`{}`", directive.name))
            .collect();
        let (names, values) = (names.join(", "), values.join(", "));
        text.push_str(&format!("| {names} | {values} | {consequence} |\n"));
    }
    text
}

fn has_promise(name: &str) -> bool {
    PROMISES.iter().any(|promise| promise.name == name)
}
