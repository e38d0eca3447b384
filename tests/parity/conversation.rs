//! Conversations with a server, read from text files. `conversations/README.md` describes the
//! format.
//!
//! Before any conversation runs, a text is expanded: to one conversation for every value of its
//! `for` lines and every protocol version. Each has a unique name.

use crate::mask::Mask;
use crate::words;

/// A conversation that can be held with any server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    /// The arguments of the server.
    pub(crate) flags: Vec<String>,
    /// It changes the server, so it gets a server of its own.
    pub(crate) fresh: bool,
    /// Its clients do not affect each other.
    pub(crate) independent: bool,
    /// Every client sends `HELLO 3` first.
    pub(crate) resp3: bool,
    /// Each client sends `CLIENT ID` when it connects, since a step contains an id.
    pub(crate) with_ids: bool,
    pub(crate) masks: Vec<Mask>,
    pub(crate) steps: Vec<Step>,
    /// Requests that undo its changes. A separate client sends them after all others have left.
    pub(crate) after: Vec<Vec<Vec<u8>>>,
}

/// One action of one client.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The line of the file, shown in reports.
    pub(crate) text: String,
    pub(crate) client: char,
    pub(crate) action: Action,
    /// The number of replies and pushes to read, if the line sets it.
    pub(crate) count: Option<usize>,
    pub(crate) masks: Vec<Mask>,
}

/// The action of a client in a step.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// `A: PING`, as an array of bulk strings.
    Request(Vec<Vec<u8>>),
    /// `A inline: PING`, the text and an end of line.
    Inline(String),
    /// `A raw: "*1\r\n"`, the words without separators.
    Raw(Vec<Vec<u8>>),
    /// `A<`, reads a push.
    Read,
    /// `A settles`, reads all replies up to the reply to a PING.
    Settle,
    /// `A closed`, reads all replies until the server closes.
    Closed,
    /// `A connects`, without sending a request.
    Connect,
    /// `A leaves`, shuts its write half down and reads until the server closes.
    Leave,
}

/// The lines of a conversation before its `for` values are filled in.
#[derive(Clone, Debug, Default)]
struct Draft {
    name: String,
    flags: String,
    fresh: bool,
    protocols: String,
    masks: String,
    choices: Vec<(String, Vec<String>)>,
    steps: Vec<String>,
    after: Vec<String>,
}

/// Reads a file of conversations.
///
/// # Errors
///
/// When a line is neither a setting nor a step. The error contains its number.
pub(crate) fn read(text: &str) -> Result<Vec<Conversation>, String> {
    let mut defaults = Draft { protocols: "2".into(), ..Draft::default() };
    let mut drafts: Vec<Draft> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            drafts.push(Draft { name: name.trim().into(), ..defaults.clone() });
            continue;
        }
        let draft = drafts.last_mut().unwrap_or(&mut defaults);
        draft.add(line).map_err(|error| format!("line {}: {error}", number + 1))?;
    }
    drafts.iter().map(Draft::conversations).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
}

impl Draft {
    fn add(&mut self, line: &str) -> Result<(), String> {
        if line == "fresh" {
            self.fresh = true;
        } else if let Some(request) = line.strip_prefix("after: ") {
            self.after.push(request.into());
        } else if let Some(flags) = line.strip_prefix("flags: ") {
            self.flags = flags.into();
        } else if let Some(masks) = line.strip_prefix("mask: ") {
            self.masks = masks.into();
        } else if let Some(protocols) = line.strip_prefix("resp: ") {
            self.protocols = protocols.into();
        } else if let Some(choice) = line.strip_prefix("for ") {
            let (name, values) = choice.split_once(':').ok_or("expected `for NAME: A | B`")?;
            let values = values.split(" | ").map(|value| value.trim().to_owned()).collect();
            self.choices.push((name.trim().into(), values));
        } else if line.starts_with(|first: char| first.is_ascii_uppercase()) {
            self.steps.push(line.into());
        } else {
            return Err(format!("expected a setting or a step, found {line:?}"));
        }
        Ok(())
    }

    fn conversations(&self) -> Result<Vec<Conversation>, String> {
        let mut texts = vec![self.clone()];
        for (name, values) in &self.choices {
            texts = texts
                .iter()
                .flat_map(|text| values.iter().map(|value| text.with(name, value)))
                .collect();
        }
        let mut conversations = Vec::new();
        for protocol in self.protocols.split_whitespace() {
            for text in &texts {
                conversations.push(text.conversation(protocol == "3")?);
            }
        }
        Ok(conversations)
    }

    /// Fills in one choice. If the name does not contain its braces, the value is appended to the
    /// name.
    fn with(&self, name: &str, value: &str) -> Self {
        let braces = format!("{{{name}}}");
        let fill = |text: &String| text.replace(&braces, value);
        let mut filled = Self {
            name: fill(&self.name),
            flags: fill(&self.flags),
            steps: self.steps.iter().map(fill).collect(),
            ..self.clone()
        };
        if !self.name.contains(&braces) {
            filled.name = format!("{}: {value}", self.name);
        }
        filled
    }

    fn conversation(&self, resp3: bool) -> Result<Conversation, String> {
        let wrong = |error: String| format!("{}: {error}", self.name);
        let flags = words::split(&self.flags).map_err(wrong)?;
        let after = self.after.iter().map(|line| words::split(line)).collect::<Result<_, _>>();
        let steps = self.steps.iter().map(|line| Step::read(line)).collect::<Result<Vec<_>, _>>();
        Ok(Conversation {
            name: if resp3 { format!("{} (RESP3)", self.name) } else { self.name.clone() },
            flags: flags.iter().map(|flag| String::from_utf8_lossy(flag).into_owned()).collect(),
            fresh: self.fresh,
            independent: false,
            resp3,
            with_ids: self.steps.iter().any(|line| line.contains(".id}")),
            masks: masks(&self.masks).map_err(wrong)?,
            steps: steps.map_err(wrong)?,
            after: after.map_err(wrong)?,
        })
    }
}

impl Step {
    /// Returns the steps of a request with an unknown number of replies: a PING marks the last.
    pub(crate) fn settled(client: char, words: Vec<Vec<u8>>, masks: Vec<Mask>) -> [Self; 2] {
        let shown: Vec<String> =
            words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
        let text = format!("{client}(0): {}", shown.join(" "));
        let action = Action::Request(words);
        let asked = Self { text, client, action, count: Some(0), masks: Vec::new() };
        [asked, Self { masks, ..Self::settle(client) }]
    }

    /// `A settles`
    pub(crate) fn settle(client: char) -> Self {
        let text = format!("{client} settles");
        Self { text, client, action: Action::Settle, count: None, masks: Vec::new() }
    }

    /// `A leaves`
    pub(crate) fn leave(client: char) -> Self {
        let text = format!("{client} leaves");
        Self { text, client, action: Action::Leave, count: None, masks: Vec::new() }
    }

    /// `CLIENT[(count)][[masks]]`, then the action.
    fn read(line: &str) -> Result<Self, String> {
        let (client, mut rest) = line.split_at(1);
        let mut part = |open, close| match rest.strip_prefix(open) {
            Some(inside) => {
                let (inside, after) = inside.split_once(close)?;
                rest = after;
                Some(inside)
            }
            None => None,
        };
        let count = part('(', ')').map(|count| count.parse::<usize>().map_err(|e| e.to_string()));
        let masks = masks(part('[', ']').unwrap_or_default())?;
        let action =
            Action::read(rest).ok_or_else(|| format!("expected a step, found {line:?}"))??;
        let client = client.chars().next().unwrap_or('A');
        Ok(Self { text: line.into(), client, action, count: count.transpose()?, masks })
    }
}

impl Action {
    fn read(text: &str) -> Option<Result<Self, String>> {
        match text {
            "<" => return Some(Ok(Self::Read)),
            " settles" => return Some(Ok(Self::Settle)),
            " closed" => return Some(Ok(Self::Closed)),
            " connects" => return Some(Ok(Self::Connect)),
            " leaves" => return Some(Ok(Self::Leave)),
            _ => {}
        }
        if let Some(text) = text.strip_prefix(" inline:") {
            return Some(Ok(Self::Inline(text.strip_prefix(' ').unwrap_or(text).into())));
        }
        if let Some(text) = text.strip_prefix(" raw: ") {
            return Some(words::split(text).map(Self::Raw));
        }
        text.strip_prefix(": ").map(|text| words::split(text).map(Self::Request))
    }
}

fn masks(names: &str) -> Result<Vec<Mask>, String> {
    names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| Mask::named(name).ok_or_else(|| format!("no mask is named {name:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_expands_to_one_conversation_per_choice_and_protocol() {
        let text =
            "resp: 2 3\n== {verb} without names\nfor verb: SUBSCRIBE | PSUBSCRIBE\nA: {verb}\n";
        let names: Vec<String> = read(text).unwrap().into_iter().map(|c| c.name).collect();
        let expected = [
            "SUBSCRIBE without names",
            "PSUBSCRIBE without names",
            "SUBSCRIBE without names (RESP3)",
            "PSUBSCRIBE without names (RESP3)",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_error_names_the_wrong_line_or_mask() {
        assert!(read("== a\nnonsense\n").unwrap_err().starts_with("line 2"));
        assert!(read("== a\nA[nosuch]: PING\n").unwrap_err().contains("nosuch"));
    }
}
