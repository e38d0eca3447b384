//! Builds a package for Debian from the release build and the files in `packaging`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, Step, workspace_dir};

const STEP: &str = "package for Debian";

/// Files of the package: the source, the place, and the permissions.
const FILES: [(&str, &str, u32); 19] = [
    ("target/release/broker", "usr/bin/broker", 0o755),
    ("target/release/backplane", "usr/bin/backplane", 0o755),
    ("target/release/broker-top", "usr/bin/broker-top", 0o755),
    ("packaging/systemd/relaybox.service", "lib/systemd/system/relaybox.service", 0o644),
    ("packaging/systemd/relaybox.socket", "lib/systemd/system/relaybox.socket", 0o644),
    ("packaging/debian/relaybox.init", "etc/init.d/relaybox", 0o755),
    ("packaging/debian/relaybox.logrotate", "etc/logrotate.d/relaybox", 0o644),
    ("packaging/man/relaybox.1", "usr/share/man/man1/relaybox.1", 0o644),
    ("packaging/man/relaybox.conf.5", "usr/share/man/man5/relaybox.conf.5", 0o644),
    ("packaging/completions/broker.bash", "usr/share/bash-completion/completions/broker", 0o644),
    ("packaging/completions/_broker", "usr/share/zsh/vendor-completions/_broker", 0o644),
    ("packaging/completions/broker.fish", "usr/share/fish/vendor_completions.d/broker.fish", 0o644),
    ("README.md", "usr/share/doc/relaybox/README.md", 0o644),
    ("COMPATIBILITY.md", "usr/share/doc/relaybox/COMPATIBILITY.md", 0o644),
    ("CHANGELOG.md", "usr/share/doc/relaybox/changelog", 0o644),
    ("packaging/debian/conffiles", "DEBIAN/conffiles", 0o644),
    ("packaging/debian/postinst", "DEBIAN/postinst", 0o755),
    ("packaging/debian/prerm", "DEBIAN/prerm", 0o755),
    ("packaging/debian/postrm", "DEBIAN/postrm", 0o755),
];

/// Builds the broker and its package, and prints the path of the package.
///
/// # Errors
///
/// When the build fails, a file cannot be copied, or dpkg-deb is missing.
pub(crate) fn build() -> Result<(), Failure> {
    Step::cargo("release build")
        .args(["build", "--locked", "--release"])
        .args(["-p", "broker", "-p", "backplane-cli", "-p", "broker-top"])
        .run()?;
    let architecture =
        Step::program("architecture of Debian", "dpkg").args(["--print-architecture"]).answer()?;
    let architecture = architecture.trim();
    let root = workspace_dir().join("target/deb/relaybox");
    stage(&root, architecture)
        .map_err(|source| Failure::Unwritable { path: root.clone(), source })?;
    let name = format!("target/deb/relaybox_{}_{architecture}.deb", env!("CARGO_PKG_VERSION"));
    Step::program(STEP, "dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([root, workspace_dir().join(name)])
        .run()
}

/// Writes the tree of the package.
fn stage(root: &Path, architecture: &str) -> io::Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    let read = |path: &str| fs::read(workspace_dir().join(path));
    let copied = FILES.into_iter().map(|(source, place, mode)| Ok((place, read(source)?, mode)));
    let mut files = copied.collect::<io::Result<Vec<_>>>()?;
    let settings = [read("redis.conf.example")?, read("packaging/debian/settings.conf")?].concat();
    files.push(("etc/relaybox/relaybox.conf", settings, 0o644));
    let licence = env!("CARGO_PKG_LICENSE").replace(" OR ", " or ");
    let copyright = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
         Files: *\nCopyright: The relaybox authors\nLicense: {licence}\n"
    );
    files.push(("usr/share/doc/relaybox/copyright", copyright.into(), 0o644));
    let bytes: usize = files.iter().map(|(_, content, _)| content.len()).sum();
    let control = String::from_utf8_lossy(&read("packaging/debian/control")?)
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{architecture}", architecture)
        .replace("{kilobytes}", &bytes.div_ceil(1024).to_string());
    files.push(("DEBIAN/control", control.into(), 0o644));
    for (place, content, mode) in files {
        let path = root.join(place);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    for (program, options, place) in [
        ("strip", "--strip-unneeded", "usr/bin/broker"),
        ("strip", "--strip-unneeded", "usr/bin/backplane"),
        ("strip", "--strip-unneeded", "usr/bin/broker-top"),
        ("gzip", "-9n", "usr/share/doc/relaybox/changelog"),
        ("gzip", "-9n", "usr/share/man/man1/relaybox.1"),
        ("gzip", "-9n", "usr/share/man/man5/relaybox.conf.5"),
    ] {
        let status = Command::new(program).arg(options).arg(root.join(place)).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{program} failed for {place}")));
        }
    }
    // The page under the names of the programs that it describes.
    for program in ["broker", "broker-top", "backplane"] {
        symlink("relaybox.1.gz", root.join(format!("usr/share/man/man1/{program}.1.gz")))?;
    }
    // Otherwise the folders have the permissions of the build.
    Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root).status().map(drop)
}
