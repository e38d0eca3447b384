//! The users of a running server, their file, and the ACL log.
//!
//! A session holds its user. It compares a generation number to detect changes of any user.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use locks::Mutex;

use crate::acl::{Acl, AclError, AclLog, ChannelsDefault, DEFAULT_USER, Incident, User};
use crate::observe::clock::since_1970;
use crate::replace_file::replace_file;

/// All users of a server.
#[derive(Debug)]
pub(crate) struct Users {
    /// Shared, so that readers need the lock only to clone it. A change is made on a copy.
    acl: Mutex<Arc<Acl>>,
    log: Mutex<AclLog>,
    generation: AtomicU64,
    pub(crate) file: Option<PathBuf>,
}

/// Where the users of a server come from, and how new ones start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserSources<'a> {
    /// `requirepass`, the password of the default user.
    pub(crate) requirepass: Option<&'a [u8]>,
    /// The words of each `user` line: a name and rules.
    pub(crate) lines: &'a [Vec<Vec<u8>>],
    /// `aclfile`, which excludes `user` lines.
    pub(crate) file: Option<&'a Path>,
    /// `acl-pubsub-default`.
    pub(crate) channels_default: ChannelsDefault,
}

/// Redis' error for users in two places.
const TWO_PLACES: &str = "Configuring Redis with users defined in redis.conf and at the same \
setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and \
security holes, please define either an ACL file or declare users directly in your redis.conf, but \
not both.";

impl Users {
    /// Creates the users that the settings and the ACL file define.
    ///
    /// # Errors
    ///
    /// The first mistake in the settings, or all mistakes in the file, as Redis reports them.
    pub(crate) fn new(sources: UserSources<'_>) -> Result<Self, String> {
        let UserSources { requirepass, lines, file, channels_default } = sources;
        let mut acl = Acl::new(channels_default);
        acl.set_password_of_default(requirepass);
        if file.is_some() && !lines.is_empty() {
            return Err(TWO_PLACES.to_owned());
        }
        add_users(&mut acl, lines)
            .map_err(|error| format!("Error in user declaration: {error}"))?;
        if let Some(path) = file {
            acl = read(path, channels_default)?;
        }
        Ok(Self {
            acl: Mutex::new(acl.into()),
            log: Mutex::default(),
            generation: AtomicU64::new(0),
            file: file.map(Path::to_owned),
        })
    }

    /// Returns a number that changes with each change of a user.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.acl.lock().user(name)
    }

    pub(crate) fn default_user(&self) -> Arc<User> {
        self.acl.lock().default_user()
    }

    /// Returns whether clients are the default user without logging in.
    pub(crate) fn is_open(&self) -> bool {
        self.default_user().is_open()
    }

    pub(crate) fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        // Hashing is slow, so it runs without the lock.
        let acl = self.acl.lock().clone();
        acl.authenticate(name, password)
    }

    /// Calls `see` with all users.
    pub(crate) fn with<R>(&self, see: impl FnOnce(&Acl) -> R) -> R {
        see(&self.acl.lock().clone())
    }

    /// Applies a change. `change` must apply it completely or not at all.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Acl) -> R) -> R {
        let result = change(Arc::make_mut(&mut *self.acl.lock()));
        self.generation.fetch_add(1, Ordering::Release);
        result
    }

    /// `ACL LOAD`: replaces all users by those of the file, or none.
    ///
    /// # Errors
    ///
    /// The mistakes in the file, as Redis reports them.
    pub(crate) fn load(&self, channels_default: ChannelsDefault) -> Result<(), String> {
        let path = self.file.as_deref().ok_or(NO_FILE)?;
        let loaded = read(path, channels_default)?;
        self.change(|acl| *acl = loaded);
        Ok(())
    }

    /// `ACL SAVE`: writes the users to the file.
    ///
    /// # Errors
    ///
    /// Redis' text for a failed save; the log has the cause.
    pub(crate) fn save(&self) -> Result<(), String> {
        let path = self.file.as_deref().ok_or(NO_FILE)?;
        let text = self.acl.lock().to_file();
        replace_file(path, &text).map_err(|_| {
            "There was an error trying to save the ACLs. Please check the server logs \
            for more information"
                .to_owned()
        })
    }

    /// Adds a denied request or a failed login to the log.
    pub(crate) fn record(&self, incident: Incident, entries_max: usize) {
        self.log.lock().add(incident, now_ms(), entries_max);
    }

    /// Calls `see` with the log.
    pub(crate) fn with_log<R>(&self, see: impl FnOnce(&mut AclLog) -> R) -> R {
        see(&mut self.log.lock())
    }
}

pub(crate) const NO_FILE: &str = "This Redis instance is not configured to use an ACL file. You may \
want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you \
have a Redis configuration file set) in order to store users in the Redis configuration.";

/// Adds the users of `user` lines.
pub(crate) fn add_users(acl: &mut Acl, users: &[Vec<Vec<u8>>]) -> Result<(), AclError> {
    for words in users {
        if let Some((name, rules)) = words.split_first() {
            let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
            acl.configure_user(name, &rules)?;
        }
    }
    Ok(())
}

fn read(path: &Path, default: ChannelsDefault) -> Result<Acl, String> {
    let name = path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| format!("Error loading ACLs, opening file '{name}': {error}"))?;
    Acl::load(&text, &name, default).map_err(|error| String::from_utf8_lossy(&error).into_owned())
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// Returns whether this is the user of clients that have not logged in.
pub(crate) fn is_default(name: &[u8]) -> bool {
    name == DEFAULT_USER
}
