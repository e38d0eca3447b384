//! The words that install the program as a service of Windows and run it as one. They are those of
//! Microsoft's port of Redis, so that its scripts work.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use broker::Config;
use windows_service::service::{
    Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use crate::{Given, load, manager, run};

/// What the first word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Install,
    Uninstall,
    Start,
    Stop,
    Run,
}

/// The words of a command line about a service.
struct Words {
    action: Action,
    name: String,
    /// The path of a file and flags of the server.
    settings: Vec<OsString>,
}

/// The name that Microsoft's port gives a service.
const DEFAULT_NAME: &str = "Redis";
/// The account of a service, which has few rights. Its identifier is the same in all languages.
const ACCOUNT: &str = "NT AUTHORITY\\NetworkService";
const ACCOUNT_ID: &str = "*S-1-5-20";
/// The log of a service without `logfile`, since nobody reads its standard output.
const LOG_FILE: &str = "server_log.txt";
/// How long a start or a stop may take.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Does what the first word asks for, if it is about a service.
pub(crate) fn command(words: &[OsString]) -> Option<ExitCode> {
    let words = Words::parse(words)?;
    let done = match words.action {
        Action::Install => install(&words).map(|()| "Redis successfully installed as a service."),
        Action::Uninstall => {
            uninstall(&words.name).map(|()| "Redis service successfully uninstalled.")
        }
        Action::Start => start(&words.name).map(|()| "Redis service successfully started."),
        Action::Stop => stop(&words.name).map(|()| "Redis service successfully stopped."),
        Action::Run => return Some(serve(words)),
    };
    Some(match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

impl Words {
    fn parse(words: &[OsString]) -> Option<Self> {
        let (first, mut settings) = words.split_first()?;
        let action = match first.to_str()? {
            "--service-install" => Action::Install,
            "--service-uninstall" => Action::Uninstall,
            "--service-start" => Action::Start,
            "--service-stop" => Action::Stop,
            "--service-run" => Action::Run,
            _ => return None,
        };
        let mut name = DEFAULT_NAME.to_owned();
        if let [flag, given, rest @ ..] = settings
            && flag == "--service-name"
        {
            name = given.to_string_lossy().into_owned();
            settings = rest;
        }
        Some(Self { action, name, settings: settings.to_vec() })
    }
}

fn install(words: &Words) -> Result<(), Box<dyn Error>> {
    let Given { loaded, .. } = load(&words.settings, None)?;
    let settings = with_absolute_file(&words.settings);
    let program = std::env::current_exe()?;
    let run = ["--service-run", "--service-name", &words.name].map(OsString::from);
    let service = ServiceInfo {
        name: words.name.clone().into(),
        display_name: words.name.clone().into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.clone(),
        launch_arguments: run.into_iter().chain(settings).collect(),
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    };
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let created = ServiceManager::local_computer(None::<&str>, access)
        .and_then(|manager| manager.create_service(&service, ServiceAccess::CHANGE_CONFIG))
        .map_err(|error| failure("install", &words.name, &error))?;
    let text = "A Redis-compatible server for publish and subscribe";
    if let Err(error) = created.set_description(text) {
        eprintln!("the service has no description: {}", cause(&error));
    }
    let home = program.parent().unwrap_or(Path::new("."));
    for folder in folders(&loaded.config, home) {
        if let Err(error) = grant(&folder) {
            let folder = folder.display();
            eprintln!("{ACCOUNT} may lack the right to write into '{folder}': {error}");
        }
    }
    if holds_password(words.settings.iter().cloned()) {
        eprintln!("{PASSWORD_SEEN}");
    }
    Ok(())
}

/// Returns the words with the path of a file made absolute, since a service starts in another folder.
fn with_absolute_file(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    if let Some(first) = words.first_mut()
        && !first.as_encoded_bytes().starts_with(b"-")
        && let Ok(path) = std::path::absolute(&*first)
    {
        *first = path.into();
    }
    words
}

/// Returns the folders into which a server with these settings writes.
fn folders(config: &Config, home: &Path) -> Vec<PathBuf> {
    let files = [
        Some(config.logfile.clone().unwrap_or_else(|| LOG_FILE.into())),
        config.pidfile.clone(),
        config.aclfile.clone(),
        config.counters_file.clone(),
    ];
    // A service starts in the folder of the program.
    let dir = config.dir.as_ref().map_or_else(|| home.to_owned(), |dir| home.join(dir));
    let parents = files.into_iter().flatten().filter_map(|file| {
        let file = dir.join(file);
        file.parent().map(Path::to_owned)
    });
    let mut folders: Vec<PathBuf> = parents.collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Allows the account of the service to change the files of a folder.
fn grant(folder: &Path) -> io::Result<()> {
    let mut icacls = Command::new("icacls");
    icacls.arg(folder).args(["/grant", &format!("{ACCOUNT_ID}:(OI)(CI)(M)"), "/Q"]);
    let status = icacls.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("icacls: {status}"))) }
}

fn uninstall(name: &str) -> Result<(), Box<dyn Error>> {
    let service = open(name, ServiceAccess::DELETE, "uninstall")?;
    service.delete().map_err(|error| failure("uninstall", name, &error))
}

fn start(name: &str) -> Result<(), Box<dyn Error>> {
    let service = open(name, ServiceAccess::START | ServiceAccess::QUERY_STATUS, "start")?;
    let none: [&OsStr; 0] = [];
    service.start(&none).map_err(|error| failure("start", name, &error))?;
    wait_for(&service, name, ServiceState::Running)
}

fn stop(name: &str) -> Result<(), Box<dyn Error>> {
    let service = open(name, ServiceAccess::STOP | ServiceAccess::QUERY_STATUS, "stop")?;
    service.stop().map_err(|error| failure("stop", name, &error))?;
    wait_for(&service, name, ServiceState::Stopped)
}

fn open(name: &str, access: ServiceAccess, action: &str) -> Result<Service, Box<dyn Error>> {
    ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)
        .and_then(|manager| manager.open_service(name, access))
        .map_err(|error| failure(action, name, &error))
}

fn wait_for(service: &Service, name: &str, wanted: ServiceState) -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + DEADLINE;
    loop {
        let status = service.query_status().map_err(|error| failure("query", name, &error))?;
        if status.current_state == wanted {
            return Ok(());
        }
        // A service that should run has ended: its settings or its port are wrong.
        let has_ended = status.current_state == ServiceState::Stopped;
        if has_ended || Instant::now() > end {
            let state = status.current_state;
            return Err(format!(
                "expected the service '{name}' to be {wanted:?} within {} seconds, found {state:?}; its \
                 log file has the reason",
                DEADLINE.as_secs()
            )
            .into());
        }
        thread::sleep(PAUSE);
    }
}

fn failure(action: &str, name: &str, error: &windows_service::Error) -> Box<dyn Error> {
    /// The code of the system for a missing right.
    const ACCESS_DENIED: i32 = 5;

    let is_denied = matches!(
        error,
        windows_service::Error::Winapi(error) if error.raw_os_error() == Some(ACCESS_DENIED)
    );
    let advice = if is_denied { "; run this as an administrator" } else { "" };
    format!("cannot {action} the service '{name}': {}{advice}", cause(error)).into()
}

/// Returns the error of the system behind an error of the library.
fn cause(error: &windows_service::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The words of this process. The service manager calls a function without any.
static RUN: OnceLock<Words> = OnceLock::new();

define_windows_service!(service_entry, service_main);

/// Runs as the service that the service manager has started.
fn serve(words: Words) -> ExitCode {
    let name = words.name.clone();
    let _ = RUN.set(words);
    match service_dispatcher::start(&name, service_entry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = cause(&error);
            eprintln!("cannot run the service '{name}': {cause}; start it by --service-start");
            ExitCode::FAILURE
        }
    }
}

fn service_main(_: Vec<OsString>) {
    let Some(Words { name, settings, .. }) = RUN.get() else { return };
    if manager::register(name).is_err() {
        return;
    }
    let code = match serve_as_service(settings) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error}");
            // The log may not have begun.
            append(&error);
            1
        }
    };
    manager::stopped(code);
}

fn serve_as_service(settings: &[OsString]) -> Result<(), Box<dyn Error>> {
    if let Some(home) = std::env::current_exe()?.parent() {
        std::env::set_current_dir(home)?;
    }
    let mut loaded = load(settings, None)?.loaded;
    loaded.config.logfile.get_or_insert_with(|| LOG_FILE.into());
    run(loaded)
}

/// Writes the reason for the end of a service beside the program.
fn append(error: &dyn Display) {
    let home = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LOG_FILE)));
    let Some(path) = home else { return };
    if let Ok(mut file) = fs::OpenOptions::new().create(true).append(true).open(path) {
        let _ = io::Write::write_all(&mut file, format!("{error}\n").as_bytes());
    }
}

/// A warning about words that hold a password. Windows shows the words of a process and of a service
/// to all users.
pub(crate) const PASSWORD_SEEN: &str = "the words of the command line, which other users can read, hold a \
                                        password; name its file by requirepass-file, or write it into a \
                                        configuration file";

/// Returns whether the words of a command line hold a password.
pub(crate) fn holds_password(words: impl IntoIterator<Item = OsString>) -> bool {
    const NAMES: [&str; 5] =
        ["--requirepass", "--masterauth", "--primaryauth", "--user", "--http-token"];
    words.into_iter().any(|word| {
        let word = word.to_string_lossy().to_ascii_lowercase();
        let name = word.split(['=', ' ']).next().unwrap_or_default();
        NAMES.contains(&name)
    })
}
