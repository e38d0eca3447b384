//! The words that install the program as a service of Windows and run it as one. They are those of
//! Microsoft's port of Redis, so that its scripts work.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use broker::{Config, ConfigError};
use windows_service::service::{
    Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use crate::{Given, load, manager, run};

/// The action of the first word.
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
/// The log of a service without `logfile`: a service has no standard output. It is in a folder of its own,
/// since the account of the service must not be able to change the program.
const LOG_FILE: &str = "log\\server_log.txt";
/// How long a start or a stop may take.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Performs the action of the first word, if it is about a service.
pub(crate) fn command(words: &[OsString]) -> Option<ExitCode> {
    let words = Words::parse(words)?;
    if let Err(text) = words.check() {
        eprintln!("{text}");
        return Some(ExitCode::FAILURE);
    }
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
        let (first, settings) = words.split_first()?;
        let action = match first.to_str()? {
            "--service-install" => Action::Install,
            "--service-uninstall" => Action::Uninstall,
            "--service-start" => Action::Start,
            "--service-stop" => Action::Stop,
            "--service-run" => Action::Run,
            _ => return None,
        };
        let mut settings = settings.to_vec();
        let mut name = DEFAULT_NAME.to_owned();
        if let Some(at) = settings.iter().position(|word| word == "--service-name")
            && at + 1 < settings.len()
        {
            name = settings.remove(at + 1).to_string_lossy().into_owned();
            settings.remove(at);
        }
        Some(Self { action, name, settings })
    }
}

impl Words {
    /// Refuses words without an effect.
    fn check(&self) -> Result<(), String> {
        let is_about_settings = matches!(self.action, Action::Install | Action::Run);
        match self.settings.iter().find(|&word| !is_about_settings || word == "-") {
            Some(word) if word == "-" => Err(
                "expected the path of a configuration file, found '-': a service has no standard \
                     input"
                    .to_owned(),
            ),
            Some(word) => {
                let word = word.to_string_lossy();
                Err(format!("expected --service-name and a name, found '{word}'"))
            }
            None => Ok(()),
        }
    }
}

fn install(words: &Words) -> Result<(), Box<dyn Error>> {
    let Given { loaded, .. } = load(&words.settings, None)?;
    let settings = with_absolute_files(&words.settings);
    let run = ["--service-run", "--service-name", &words.name].map(OsString::from);
    let service = ServiceInfo {
        name: words.name.clone().into(),
        display_name: words.name.clone().into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: std::env::current_exe()?,
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
    if std::env::var_os(crate::PASSWORD).is_some() {
        let name = crate::PASSWORD;
        eprintln!(
            "the service does not have the variable {name} of this console; use requirepass-file"
        );
    }
    for folder in folders(&loaded.config, &home()?) {
        if let Err(error) = fs::create_dir_all(&folder).and_then(|()| grant(&folder)) {
            let folder = folder.display();
            eprintln!("{ACCOUNT} may lack the right to write into '{folder}': {error}");
        }
    }
    if holds_password(words.settings.iter().cloned()) {
        eprintln!("{PASSWORD_SEEN}");
    }
    Ok(())
}

/// Returns the words with the paths of files that are read made absolute, since a service starts in
/// another folder.
fn with_absolute_files(words: &[OsString]) -> Vec<OsString> {
    let is_path = |index: usize| match index.checked_sub(1) {
        None => !words[0].as_encoded_bytes().starts_with(b"-"),
        Some(before) => words[before].eq_ignore_ascii_case("--requirepass-file"),
    };
    let absolute = |(index, word): (usize, &OsString)| {
        let path = std::path::absolute(word).ok().filter(|_| is_path(index));
        path.map_or_else(|| word.clone(), OsString::from)
    };
    words.iter().enumerate().map(absolute).collect()
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
    let mut folders: Vec<PathBuf> =
        parents.chain(config.dir.is_some().then(|| dir.clone())).collect();
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
        // A server that drains says how long it takes.
        let is_over = Instant::now() > end + status.wait_hint;
        if has_ended || is_over {
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
            // A line of the settings may hold a password.
            let text = match error.downcast_ref::<ConfigError>() {
                Some(mistake) => format!("mistake at {}", mistake.place()),
                None => error.to_string(),
            };
            match tracing::dispatcher::has_been_set() {
                true => tracing::error!("{text}"),
                false => append(&text),
            }
            1
        }
    };
    manager::stopped(code);
}

fn serve_as_service(settings: &[OsString]) -> Result<(), Box<dyn Error>> {
    std::env::set_current_dir(home()?)?;
    let mut loaded = load(settings, None)?.loaded;
    if loaded.config.logfile.is_none() {
        let path = home()?.join(LOG_FILE);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        loaded.config.logfile = Some(path);
    }
    run(loaded)
}

/// Writes the reason for the end of a service whose log has not begun.
fn append(text: &str) {
    let Ok(path) = home().map(|home| home.join(LOG_FILE)) else { return };
    if let Ok(mut file) = fs::OpenOptions::new().create(true).append(true).open(path) {
        let _ = io::Write::write_all(&mut file, format!("{text}\n").as_bytes());
    }
}

/// Returns the folder of the program.
fn home() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
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
