//! The pages of `man` and the completions, as programs of the machine read them.

use std::process::Command;

use harness::{Finished, Process, SLOW_DEADLINE, workspace_dir};

const PAGES: [&str; 2] = ["packaging/man/relaybox.1", "packaging/man/relaybox.conf.5"];

#[tokio::test]
async fn man_shows_the_pages_without_a_warning() {
    for page in PAGES {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(workspace_dir().join(page));
        let Finished { code, stderr, .. } = Process::run(&mut man, SLOW_DEADLINE).await;
        assert_eq!((code, &*stderr), (Some(0), ""), "{page}");
    }
}

#[tokio::test]
async fn mandoc_finds_no_mistake() {
    for page in PAGES {
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-Tlint", "-Wwarning"]).arg(workspace_dir().join(page));
        let Finished { code, stdout, stderr } = Process::run(&mut mandoc, SLOW_DEADLINE).await;
        assert_eq!(code, Some(0), "{page}: {stdout}{stderr}");
    }
}

#[tokio::test]
async fn bash_completes_directives_and_their_values() {
    let check = async |words: &str, expected: &[&str]| {
        let script = "source \"$1\"; shift; COMP_WORDS=(broker \"$@\"); COMP_CWORD=$#
            _broker broker \"${!#}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash"]);
        bash.arg(workspace_dir().join("packaging/completions/broker.bash"));
        bash.args(words.split(' '));
        let Finished { stdout, stderr, .. } = Process::run(&mut bash, SLOW_DEADLINE).await;
        let found: Vec<&str> = stdout.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!((found, &*stderr), (expected.to_vec(), ""), "{words}");
    };
    check("--prot", &["--protected-mode", "--proto-max-bulk-len"]).await;
    check("--protected-mode n", &["no"]).await;
    check("--loglevel v", &["verbose"]).await;
    check("--port 70", &[]).await;
    check("em", &["emit"]).await;
    check("--vers", &["--version"]).await;
}
