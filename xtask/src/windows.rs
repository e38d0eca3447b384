//! Builds the programs for Windows on Linux, and runs them by wine.
//!
//! The target and its standard library come from rustup, the linker and wine from Debian's packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::setup;
use crate::step::{Failure, Step, workspace_dir};

/// A task for the programs of Windows.
#[derive(Clone, Subcommand)]
pub(crate) enum Action {
    /// Runs clippy for Windows
    Check,
    /// Builds `broker.exe` and `chat-demo.exe`
    Build,
    /// Builds the programs and runs `broker.exe` by wine
    Run {
        /// The words of the broker
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// Builds the programs and runs their tests by wine
    Test,
}

const STEP: &str = "windows";
const TARGET: &str = "x86_64-pc-windows-gnu";
/// Programs that the build and wine need, and their packages in Debian.
const PROGRAMS: [(&str, &str); 2] =
    [(LINKER, "gcc-mingw-w64-x86-64-posix"), ("/usr/lib/wine/wine64", "wine64")];
const LINKER: &str = "x86_64-w64-mingw32-gcc";
const PACKAGES: [&str; 4] = ["broker", "broker-top", "backplane-cli", "chat-demo"];
/// As the tests of the workspace, which then share what is built.
const FEATURES: &str = "e2e/windows,signalr/jwt,signalr/testing,signalr/typescript";

/// Wine 8 lacks this library, which the standard library of Rust uses. It stays with the tests.
const RANDOM: &str = "\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
    return SystemFunction036(bytes, (ULONG)count);
}
";

/// Installs what is missing, and does it.
///
/// # Errors
///
/// When a requirement is missing and cannot be installed, or when a step fails.
pub(crate) fn run(action: &Action) -> Result<(), Failure> {
    setup::install("programs for Windows", &PROGRAMS)?;
    Step::program("target of Windows", "rustup").args(["target", "add", TARGET]).run()?;
    match action {
        Action::Check => {
            let check = packages(cargo("clippy for Windows").args(["clippy", "--locked"]));
            check.args(["--", "-D", "warnings"]).run()
        }
        Action::Build => build().map(|()| {
            for name in ["broker", "chat-demo"] {
                println!("==> {}", program(name).display());
            }
        }),
        Action::Run { words } => {
            build()?;
            wine_scripts()?;
            Step::program("broker.exe", scripts().join("broker")).args(words).run()
        }
        Action::Test => {
            build()?;
            wine_scripts()?;
            setup::run()?;
            Step::cargo("tests by wine")
                .args(["test", "--locked", "--workspace", "--features", FEATURES])
                .args(["--test", "windows"])
                .env("BROKER_BIN", scripts().join("broker"))
                .env("CHAT_DEMO_BIN", scripts().join("chat-demo"))
                .run()
        }
    }
}

fn build() -> Result<(), Failure> {
    packages(cargo("release build for Windows").args(["build", "--locked", "--release"])).run()
}

fn packages(step: Step) -> Step {
    PACKAGES.into_iter().fold(step.args(["--target", TARGET]), |step, name| step.args(["-p", name]))
}

/// Returns a step of cargo that builds for Windows, in a folder of its own.
fn cargo(name: &'static str) -> Step {
    Step::cargo(name)
        .env("CARGO_TARGET_DIR", dir())
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER)
        .env("CC_x86_64_pc_windows_gnu", LINKER)
        .env("AR_x86_64_pc_windows_gnu", "x86_64-w64-mingw32-ar")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        // Without it, the build takes half the time.
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
}

fn dir() -> PathBuf {
    workspace_dir().join("target/windows")
}

fn program(name: &str) -> PathBuf {
    dir().join(TARGET).join("release").join(name).with_extension("exe")
}

/// The folder of the scripts that start the programs by wine.
fn scripts() -> PathBuf {
    dir().join("bin")
}

/// Writes a script for each program, and the library that wine lacks.
fn wine_scripts() -> Result<(), Failure> {
    let write = |path: &Path, text: &str| {
        fs::write(path, text)
            .map_err(|source| Failure::Unwritable { path: path.to_owned(), source })
    };
    let bin = scripts();
    fs::create_dir_all(&bin).map_err(|source| Failure::Unwritable { path: bin.clone(), source })?;
    for name in ["broker", "chat-demo"] {
        let script = bin.join(name);
        let text = format!(
            "#!/bin/sh\n\
             export WINEPREFIX='{}' WINEDEBUG=-all\n\
             exec {} '{}' \"$@\"\n",
            dir().join("prefix").display(),
            PROGRAMS[1].0,
            program(name).display(),
        );
        write(&script, &text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .map_err(|source| Failure::Unwritable { path: script, source })?;
    }
    let source = bin.join("random.c");
    write(&source, RANDOM)?;
    let library = program("bcryptprimitives").with_extension("dll");
    Step::program("random numbers for wine", LINKER)
        .args(["-shared", "-o"])
        .args([library.as_path(), source.as_path()])
        .arg("-ladvapi32")
        .run()?;
    // The first start makes the folders of wine, which tests side by side would do twice.
    let version = Step::program(STEP, bin.join("broker")).arg("--version").answer()?;
    print!("{version}");
    Ok(())
}
