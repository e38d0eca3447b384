//! `CONFIG`: the settings in force.

use crate::config::Config;
use crate::config::directive::DIRECTIVES;
use crate::pattern;
use crate::resp::reply::Reply;

/// `CONFIG GET parameter [parameter ...]`
pub(super) fn get<'a>(config: &Config, patterns: impl Iterator<Item = &'a [u8]> + Clone) -> Reply {
    let wanted = |name: &str| {
        patterns
            .clone()
            .any(|pattern| pattern::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let found = DIRECTIVES.iter().filter(|directive| wanted(directive.name));
    let pairs = found.map(|directive| {
        let values = directive.show(config).join(&b' ');
        (Reply::bulk(directive.name), Reply::Bulk(values))
    });
    Reply::Map(pairs.collect())
}
