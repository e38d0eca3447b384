//! The result of a reload: which settings of the files have changed since they were read.

use crate::config::Config;
use crate::config::directive::{self, Directive};
use crate::config::ignored::Change;
use crate::config::parse::Invalid;

/// The settings that a reload has found changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker::{Broker, ConfigFile, Server};
///
/// let server = Server::bind_loaded(Broker::new(), ConfigFile::from_text("port any")?).await?;
/// let text = "port any\ntimeout 60\ndatabases 4";
/// let reloaded = server.reload(ConfigFile::from_text(text)?).await?;
/// assert_eq!(reloaded.changed, ["timeout"]);
/// assert_eq!(reloaded.needs_restart, ["databases"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Directives whose new values are in force.
    pub changed: Vec<&'static str>,
    /// Directives whose new values come into force at the next start.
    pub needs_restart: Vec<&'static str>,
}

/// The reason why a reload has changed nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker::{Broker, ConfigFile, Server};
///
/// let server = Server::bind_loaded(Broker::new(), ConfigFile::from_text("port any")?).await?;
/// let loaded = ConfigFile::from_text("port any\nmaxclients 4000000000")?;
/// let error = server.reload(loaded).await.unwrap_err();
/// assert!(error.to_string().starts_with("maxclients: the limit of open files allows "));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReloadError(pub(crate) String);

/// Directives that `CONFIG SET` changes with more effort than a reload makes.
const FIXED: [&str; 4] = ["bind", "port", "tls-port", "dir"];

impl Reloaded {
    /// Returns the differences between two readings.
    pub(crate) fn between(before: &Config, now: &Config) -> Self {
        let mut reloaded = Self::default();
        let shown = directive::all().filter(|each| each.is_shown && !each.is_older_name());
        // A start takes the password of the default user from its own rules, if there are any.
        let has_rules = [before, now].iter().any(|config| config.defines_default_user());
        // A password and its file change together.
        let shown = shown.filter(|each| each.name != "requirepass-file");
        let has_moved = before.requirepass_file != now.requirepass_file;
        let has_changed = |each: &&Directive| {
            each.show(before) != each.show(now) || (each.name == "requirepass" && has_moved)
        };
        for directive in shown.filter(has_changed) {
            let is_fixed = directive.change == Change::Immutable
                || FIXED.contains(&directive.name)
                || (has_rules && directive.name == "requirepass");
            match is_fixed {
                true => reloaded.needs_restart.push(directive.name),
                false => reloaded.changed.push(directive.name),
            }
        }
        if before.users != now.users {
            reloaded.needs_restart.push("user");
        }
        if before.rename_command != now.rename_command {
            reloaded.needs_restart.push("rename-command");
        }
        reloaded
    }

    /// Returns the settings in force with the changes of a reading. A setting that the reading has
    /// not changed keeps the value of `CONFIG SET`.
    pub(crate) fn merge(&self, in_force: &Config, read: &Config) -> Result<Config, Invalid> {
        let mut config = in_force.clone();
        let changed = |name: &&str| directive::find(name.as_bytes());
        for directive in self.changed.iter().filter_map(changed) {
            directive.replace(&mut config, &directive.show(read))?;
        }
        if self.changed.contains(&"requirepass") {
            config.requirepass_file.clone_from(&read.requirepass_file);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::ConfigFile;

    fn read(text: &str) -> Config {
        ConfigFile::from_text(text).unwrap().config
    }

    #[test]
    fn a_changed_line_comes_into_force_and_no_other_value() {
        let before = read("timeout 10\nmaxclients 100\nport 7000");
        let now = read("timeout 20\nmaxclients 100\nport 7001\nio-threads 4");
        let reloaded = Reloaded::between(&before, &now);
        assert_eq!(reloaded.changed, ["timeout"]);
        assert_eq!(reloaded.needs_restart, ["port", "io-threads"]);
        // Set by a client.
        let in_force = read("timeout 10\nmaxclients 50\nport 7000");
        let merged = reloaded.merge(&in_force, &now).unwrap();
        assert_eq!(merged, read("timeout 20\nmaxclients 50\nport 7000"));
    }

    #[test]
    fn the_password_of_a_default_user_with_rules_needs_a_restart() {
        for rules in ["user default on >two ~* &* +@all", "aclfile /etc/users.acl"] {
            let before = read(&format!("requirepass one\n{rules}"));
            let reloaded = Reloaded::between(&before, &read(rules));
            assert_eq!(reloaded.changed, [""; 0]);
            assert_eq!(reloaded.needs_restart, ["requirepass"]);
        }
        let reloaded = Reloaded::between(&read("user ann on"), &read("rename-command GET \"\""));
        assert_eq!(reloaded.needs_restart, ["user", "rename-command"]);
    }

    #[test]
    fn every_setting_of_a_file_can_be_merged() {
        let text = include_str!("../../../redis.conf.example");
        let lines = "maxclients 77\nclient-output-buffer-limit pubsub 1mb 1mb 7\nbind 10.0.0.1";
        let (before, now) = (read(""), read(&format!("{text}\n{lines}")));
        let all = directive::all().filter(|each| each.is_shown && each.name != "dir");
        let reloaded = Reloaded { changed: all.map(|each| each.name).collect(), ..<_>::default() };
        let merged = reloaded.merge(&before, &now).unwrap();
        assert_eq!(merged, Config { dir: merged.dir.clone(), ..now });
    }
}
