//! Installs the programs and packages that the tests need besides Rust.
//!
//! A complete machine stays unchanged and needs no network. On Debian, as root, missing programs are
//! installed from its packages. Elsewhere the failure shows the command to run. No service starts,
//! not even the Redis service of Debian's package.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{Failure, Step, workspace_dir};

/// Installs all missing requirements.
///
/// # Errors
///
/// When a requirement is missing and cannot be installed, or only by another user.
pub(crate) fn run() -> Result<(), Failure> {
    programs()?;
    debian_conf()?;
    crates()?;
    node_packages()?;
    python().map(|_| ())
}

/// Programs that the tests run, and their packages in Debian.
const PROGRAMS: [(&str, &str); 13] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-benchmark", "redis-tools"),
    ("python3", "python3"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("valgrind", "valgrind"),
    ("man", "man-db"),
    ("mandoc", "mandoc"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("patch", "patch"),
];

/// Libraries that the tests use: a command that succeeds if the library is installed, and its
/// package. A machine with Rust has `cc`.
const LIBRARIES: [(&str, &[&str], &str); 2] = [
    ("cc", &["-E", "-include", "hiredis/hiredis.h", "-x", "c", "/dev/null"], "libhiredis-dev"),
    ("python3", &["-c", "import ensurepip, venv"], "python3-venv"),
];

/// Debian's configuration file, with which a test starts our broker.
const DEBIAN_CONF: &str = "/etc/redis/redis.conf";

fn programs() -> Result<(), Failure> {
    install_packages("programs for the tests", missing_packages)
}

/// Installs those of these programs that are missing, each with its package in Debian.
///
/// # Errors
///
/// When one is missing and cannot be installed, or only by another user.
pub(crate) fn install(
    step: &'static str,
    programs: &[(&str, &'static str)],
) -> Result<(), Failure> {
    install_packages(step, || missing_of(programs))
}

fn install_packages(
    step: &'static str,
    missing: impl Fn() -> Vec<&'static str>,
) -> Result<(), Failure> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    if !may_apt_install() {
        let line = format!("sudo apt-get install -y {}", packages.join(" "));
        return Err(Failure::Missing { names: packages.join(", "), line });
    }
    Step::program("list of Debian's packages", "apt-get").args(["update", "-q"]).run()?;
    let held = ServicesHeld::new();
    Step::program(step, "apt-get")
        .arg("install")
        .args(&packages)
        .args(["-y", "-q", "--no-install-recommends"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()?;
    drop(held);
    match missing().as_slice() {
        [] => Ok(()),
        still => {
            let line = format!("apt-get install -y {}", still.join(" "));
            Err(Failure::Missing { names: still.join(", "), line })
        }
    }
}

/// Returns the packages of programs that are not installed.
fn missing_of(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let missing = programs.iter().filter(|(program, _)| find_program(program).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages = missing_of(&PROGRAMS);
    packages.extend(
        LIBRARIES
            .into_iter()
            .filter(|(program, args, _)| !succeeds(Command::new(program).args(*args)))
            .map(|(_, _, package)| package),
    );
    let conf = fs::File::open(DEBIAN_CONF).map_err(|error| error.kind());
    if conf.is_err_and(|kind| kind == ErrorKind::NotFound) && !packages.contains(&"redis-server") {
        packages.push("redis-server");
    }
    packages
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Checks that the file can be read. Debian's package allows only root and the group of Redis.
fn debian_conf() -> Result<(), Failure> {
    if fs::File::open(DEBIAN_CONF).is_ok() {
        return Ok(());
    }
    let line = format!("sudo chmod a+rx /etc/redis && sudo chmod a+r {DEBIAN_CONF}");
    Err(Failure::Missing { names: format!("permission to read {DEBIAN_CONF}"), line })
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn may_apt_install() -> bool {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0");
    is_root && find_program("apt-get").is_some()
}

/// Prevents packages from starting services while it exists, with Debian's `policy-rc.d`.
struct ServicesHeld {
    /// The policy file; `None` if the machine has its own or we cannot write one.
    policy: Option<&'static Path>,
}

impl ServicesHeld {
    fn new() -> Self {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        let ours = !policy.exists() && write_script(policy, "#!/bin/sh\nexit 101\n").is_ok();
        Self { policy: ours.then_some(policy) }
    }
}

impl Drop for ServicesHeld {
    fn drop(&mut self) {
        if let Some(policy) = self.policy
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("warning: cannot remove {}: {error}", policy.display());
        }
    }
}

fn write_script(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Fetches the crates of all platforms, since cargo-deny checks all of them.
fn crates() -> Result<(), Failure> {
    let complete = succeeds(
        cargo()
            .args(["metadata", "--offline", "--locked", "--format-version", "1"])
            .current_dir(workspace_dir()),
    );
    if complete { Ok(()) } else { Step::cargo("crates").args(["fetch", "--locked"]).run() }
}

/// Installs the locked test clients, unless they were installed from the same lock file.
fn node_packages() -> Result<(), Failure> {
    let dir = workspace_dir().join("tests/clients/node");
    let stamp = dir.join("node_modules/.installed-from");
    let lock = fs::read_to_string(dir.join("package-lock.json")).unwrap_or_default();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    Step::program("test clients for Node.js", "npm").args(["ci"]).dir(&dir).run()?;
    fs::write(&stamp, lock)
        .map_err(|source| Failure::NotStarted { step: "test clients for Node.js", source })
}

/// Installs the listed test clients into an environment of their own, unless they were installed from
/// the same lists. Returns the Python of this environment, which has pip.
///
/// # Errors
///
/// When Python is missing, or the clients cannot be installed.
pub(crate) fn python() -> Result<PathBuf, Failure> {
    const STEP: &str = "test clients for Python";
    let dir = workspace_dir().join("tests/clients/python");
    let stamp = dir.join(".venv/.installed-from");
    let python = dir.join(".venv/bin/python");
    let text = |list| fs::read_to_string(dir.join(list)).unwrap_or_default();
    let lists = text("requirements.txt") + &text("sources.txt");
    let installed = fs::read_to_string(&stamp).is_ok_and(|installed| installed == lists);
    if installed && python.exists() {
        return Ok(python);
    }
    Step::program("environment for Python", "python3")
        .args(["-m", "venv", "--clear", ".venv"])
        .dir(&dir)
        .run()?;
    Step::program(STEP, &python)
        .args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"])
        .args(["--requirement", "requirements.txt"])
        .dir(&dir)
        .run()?;
    python_sources(&dir, &python)?;
    fs::write(&stamp, lists).map_err(|source| Failure::NotStarted { step: STEP, source })?;
    Ok(python)
}

/// Unpacks the listed source packages: their tests run against our server.
fn python_sources(dir: &Path, python: &Path) -> Result<(), Failure> {
    const STEP: &str = "source packages for Python";
    let sources = dir.join(".venv/sources");
    Step::program(STEP, python)
        .args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--no-binary", "pysignalr"])
        .args(["--dest", ".venv/sources", "--requirement", "sources.txt"])
        .dir(dir)
        .run()?;
    let unreadable = |source| Failure::Unreadable { path: sources.clone(), source };
    let packages: Vec<_> =
        fs::read_dir(&sources).and_then(Iterator::collect).map_err(unreadable)?;
    for package in packages.iter().map(fs::DirEntry::path) {
        Step::program(STEP, python)
            .args(["-m", "tarfile", "-e"])
            .args([&package, &sources])
            .answer()?;
    }
    Ok(())
}

/// The version of cargo-deny that reads our `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// Returns whether cargo-deny is installed.
pub(crate) fn has_cargo_deny() -> bool {
    succeeds(cargo().args(["deny", "--version"]))
}

const CARGO_CYCLONEDX: &str = "0.5.9";

/// Installs cargo-cyclonedx if it is missing.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn cargo_cyclonedx() -> Result<(), Failure> {
    if succeeds(cargo().args(["cyclonedx", "--version"])) {
        return Ok(());
    }
    install_crate("cargo-cyclonedx", CARGO_CYCLONEDX)
}

/// Installs cargo-deny if it is missing.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn cargo_deny() -> Result<(), Failure> {
    crates()?;
    if has_cargo_deny() {
        return Ok(());
    }
    install_crate("cargo-deny", CARGO_DENY)
}

/// Installs cargo-machete if it is missing.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn cargo_machete() -> Result<(), Failure> {
    program_of_crate("cargo-machete", "0.9.2")
}

/// Installs cargo-mutants if it is missing.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn cargo_mutants() -> Result<(), Failure> {
    program_of_crate("cargo-mutants", "27.1.0")
}

fn program_of_crate(name: &'static str, version: &str) -> Result<(), Failure> {
    if find_program(name).is_some() { Ok(()) } else { install_crate(name, version) }
}

fn install_crate(name: &'static str, version: &str) -> Result<(), Failure> {
    Step::cargo(name).args(["install", name, "--version", version, "--locked"]).run()
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
