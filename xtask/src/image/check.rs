//! Runs the layer of an image in a root of its own, as its user: PING, its memory, a script, the end by
//! SIGTERM.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::step::{Failure, Step};

const STEP: &str = "check of the image";
/// The user of the image, who has no name in it.
const USER: &str = "--userspec=999:999";
const DEADLINE: Duration = Duration::from_secs(30);
/// Of a server without clients, in the unit of `/proc`. It has 5.7 to 6.1 MB, since the kernel maps more of a
/// file that was just written; huge pages would add 8 MB.
const IDLE_KILOBYTES_MAX: u64 = 6 * 1024 + 512;

/// Unpacks the layer and runs it. Only root can change the root, so others skip the check.
pub(super) fn run(layer: &Path) -> Result<(), Failure> {
    if Step::program(STEP, "id").args(["-u"]).answer()?.trim() != "0" {
        println!("==> {STEP}: skipped; it needs root");
        return Ok(());
    }
    let root = tempfile::tempdir().map_err(|source| Failure::NotStarted { step: STEP, source })?;
    // A user without rights must be able to enter it.
    Step::program(STEP, "chmod").args(["755"]).arg(root.path()).run()?;
    let places = [layer.as_os_str(), "-C".as_ref(), root.path().as_os_str()];
    Step::program("unpacked image", "tar").args(["-xpf"]).args(places).run()?;
    println!("\n==> {STEP}");
    let port = free_port().map_err(|source| Failure::NotStarted { step: STEP, source })?;
    let mut server = Server::start(root.path(), &port)?;
    let result = serves_and_ends(&mut server, root.path(), &port);
    // It has ended already, unless the check has failed.
    let _ = server.0.kill();
    let _ = server.0.wait();
    result.and_then(|()| needs_little_memory(root.path(), &port))
}

/// Checks the memory of an idle server outside of the root, which has no `/proc`: in a container there is one,
/// and the program reads it to refuse huge pages.
fn needs_little_memory(root: &Path, port: &str) -> Result<(), Failure> {
    let program = root.join("broker");
    let mut command = Command::new(&program);
    command.args(["--port", port, "--bind", "127.0.0.1"]).stdout(Stdio::null());
    let mut server = Server::spawn(&mut command)?;
    let idle = answered(|| Command::new(&program), port).and_then(|()| {
        let read = resident_kilobytes(server.0.id());
        read.map_err(|source| Failure::NotStarted { step: STEP, source })
    });
    let _ = server.0.kill();
    let _ = server.0.wait();
    let idle = idle?;
    println!("an idle server has {idle} kB in memory");
    match idle > IDLE_KILOBYTES_MAX {
        true => Err(unexpected(&format!("an idle server has {idle} kB, not {IDLE_KILOBYTES_MAX}"))),
        false => Ok(()),
    }
}

/// Waits until the server replies to the health check of the image. Each attempt takes a process.
fn answered(program: impl Fn() -> Command, port: &str) -> Result<(), Failure> {
    let end = Instant::now() + DEADLINE;
    while !succeeds(program().args(["ping", "-p", port])) {
        if Instant::now() > end {
            return Err(unexpected("no reply to PING"));
        }
    }
    Ok(())
}

fn serves_and_ends(server: &mut Server, root: &Path, port: &str) -> Result<(), Failure> {
    let program = || {
        let mut command = in_root(root);
        command.arg("/broker");
        command
    };
    answered(program, port)?;
    let reply = script(port).map_err(|source| Failure::NotStarted { step: STEP, source })?;
    if reply.trim_end() != ":42" {
        return Err(unexpected(&format!("a script has answered {reply:?}")));
    }
    let pid = server.0.id().to_string();
    Step::program(STEP, "kill").args(["-TERM", &pid]).run()?;
    let status = server.ended()?;
    if status.success() { Ok(()) } else { Err(unexpected(&format!("after SIGTERM: {status}"))) }
}

struct Server(Child);

impl Server {
    fn start(root: &Path, port: &str) -> Result<Self, Failure> {
        let mut command = in_root(root);
        command.args(["/broker", "--port", port, "--bind", "127.0.0.1", "--dir", "/data"]);
        command.args(["--counters-file", "counters"]);
        Self::spawn(&mut command)
    }

    fn spawn(command: &mut Command) -> Result<Self, Failure> {
        let child = command.spawn().map_err(|source| Failure::NotStarted { step: STEP, source })?;
        Ok(Self(child))
    }

    fn ended(&mut self) -> Result<ExitStatus, Failure> {
        self.0.wait().map_err(|source| Failure::NotStarted { step: STEP, source })
    }
}

fn resident_kilobytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| io::Error::other("/proc has no VmRSS"))
}

fn in_root(root: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(USER).arg(root);
    command
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn script(port: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"EVAL \"return 6 * 7\" 0\r\n")?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(reply)
}

fn free_port() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string())
}

fn unexpected(reason: &str) -> Failure {
    Failure::Unexpected { step: STEP, reason: reason.to_owned() }
}
