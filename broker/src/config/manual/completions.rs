//! Completions for shells: directives as flags, and their values.

use super::entry::Manual;
use crate::config::directive::{Directive, Offered, all};

const HEADER: &str =
    "# Made from redis.conf.example and the table of directives by a test of the broker.\n";

/// Returns the script of bash.
pub(super) fn bash() -> String {
    let mut text = format!(
        "{HEADER}_broker() {{\n    local word=$2 before=$3\n    COMPREPLY=()\n    case $before in\n"
    );
    let flags: Vec<String> = all().map(flag).collect();
    for directive in all() {
        let answer = match directive.offered() {
            Offered::Words(words) => {
                format!("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")", words.join(" "))
            }
            Offered::Path => "mapfile -t COMPREPLY < <(compgen -f -- \"$word\")".to_owned(),
            Offered::Nothing => ":".to_owned(),
        };
        text.push_str(&format!("        {}) {answer} ;;\n", flag(directive)));
    }
    text.push_str(&format!(
        "        *)\n            if [[ $word == -* ]]; then\n                mapfile -t COMPREPLY < \
         <(compgen -W '{} --help --version' -- \"$word\")\n            else\n                \
         mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n                if ((COMP_CWORD == 1)); then\n                    mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < \
         <(compgen -W 'emit ping top' -- \"$word\")\n                fi\n            fi\n            ;;\n    esac\n}}\n\
         complete -o filenames -F _broker broker\n",
        flags.join(" ")
    ));
    text
}

/// Returns the function of zsh.
pub(super) fn zsh(manual: &Manual) -> String {
    let mut text = format!(
        "#compdef broker\n{HEADER}_arguments \\\n    \
         '(- *)'{{-h,--help}}'[Prints a summary and exits]' \\\n    \
         '(- *)'{{-v,--version}}'[Prints the version and exits]' \\\n"
    );
    for directive in all() {
        let summary = zsh_text(manual.entry(directive.name).summary());
        let message = zsh_text(directive.expects).replace(':', "\\:");
        let action = match directive.offered() {
            Offered::Words(words) => format!("({})", words.join(" ")),
            Offered::Path => "_files".to_owned(),
            Offered::Nothing => " ".to_owned(),
        };
        text.push_str(&format!("    '{}[{summary}]:{message}:{action}' \\\n", flag(directive)));
    }
    text + "    '1:file or command:_alternative \"files:file:_files\" \"commands:command:(emit ping top)\"'\n"
}

/// Returns the lines of fish.
pub(super) fn fish(manual: &Manual) -> String {
    let mut text = format!(
        "{HEADER}complete -c broker -s h -l help -d 'Prints a summary and exits'\n\
         complete -c broker -s v -l version -d 'Prints the version and exits'\n\
         complete -c broker -n __fish_is_first_token -a emit -d 'Sends a message to the clients of an app'\n\
         complete -c broker -n __fish_is_first_token -a ping -d 'Asks a server for a reply'\n\
         complete -c broker -n __fish_is_first_token -a top -d 'Watches channels and clients'\n"
    );
    for directive in all() {
        let summary = manual.entry(directive.name).summary();
        let summary = summary.replace('\\', "\\\\").replace('\'', "\\'");
        let values = match directive.offered() {
            Offered::Words(words) => format!("-x -a '{}'", words.join(" ")),
            Offered::Path => "-r -F".to_owned(),
            Offered::Nothing => "-x".to_owned(),
        };
        let name = directive.name;
        text.push_str(&format!("complete -c broker -l {name} {values} -d '{summary}'\n"));
    }
    text
}

fn flag(directive: &Directive) -> String {
    format!("--{}", directive.name)
}

/// Returns a text within quotes and brackets.
fn zsh_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]")
}
