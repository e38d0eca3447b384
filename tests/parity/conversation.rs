//! What is said to a server, as it stands in the text files: see `conversations/README.md`.
//!
//! A text is expanded to its conversations (one for every value of its `for` lines and every protocol
//! version) before any of them runs; each has a name of its own.

use crate::mask::Mask;
use crate::words;

/// A conversation, ready to be led with any server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    /// What the server is started with.
    pub(crate) flags: Vec<String>,
    /// It changes the server and needs one of its own.
    pub(crate) fresh: bool,
    /// Every client says `HELLO 3` first.
    pub(crate) resp3: bool,
    /// The ids of its clients are asked for when they connect.
    pub(crate) with_ids: bool,
    pub(crate) masks: Vec<Mask>,
    pub(crate) steps: Vec<Step>,
    /// What undoes its changes, asked by a client of its own when all others have left.
    pub(crate) after: Vec<Vec<Vec<u8>>>,
}

/// One thing that one client does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The line, for the reader of a report.
    pub(crate) text: String,
    pub(crate) client: char,
    pub(crate) action: Action,
    /// How many replies and pushes are read, when the line says so.
    pub(crate) count: Option<usize>,
    pub(crate) masks: Vec<Mask>,
}

/// What a client does in a step.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// `A: PING`, as an array of bulk strings.
    Request(Vec<Vec<u8>>),
    /// `A inline: PING`, the text and an end of line.
    Inline(String),
    /// `A raw: "*1\r\n"`, the words without anything between them.
    Raw(Vec<Vec<u8>>),
    /// `A<`, something that was pushed.
    Read,
    /// `A settles`, all that comes up to the answer to a PING.
    Settle,
    /// `A closed`, all that comes up to the close by the server.
    Closed,
    /// `A connects`, without saying anything.
    Connect,
    /// `A leaves`, and the server closes then.
    Leave,
}

/// A text with lines `key: value`, its values not yet chosen.
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
/// When a line is none, with its number.
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
        draft.add(line).map_err(|what| format!("line {}: {what}", number + 1))?;
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

    /// Fills one choice in, or adds it to the name when the name does not mention it.
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
        let wrong = |what: String| format!("{}: {what}", self.name);
        let flags = words::split(&self.flags).map_err(wrong)?;
        let after = self.after.iter().map(|line| words::split(line)).collect::<Result<_, _>>();
        let steps = self.steps.iter().map(|line| Step::read(line)).collect::<Result<Vec<_>, _>>();
        Ok(Conversation {
            name: if resp3 { format!("{} (RESP3)", self.name) } else { self.name.clone() },
            flags: flags.iter().map(|flag| String::from_utf8_lossy(flag).into_owned()).collect(),
            fresh: self.fresh,
            resp3,
            with_ids: self.steps.iter().any(|line| line.contains(".id}")),
            masks: masks(&self.masks).map_err(wrong)?,
            steps: steps.map_err(wrong)?,
            after: after.map_err(wrong)?,
        })
    }
}

impl Step {
    /// Returns the steps of a request with replies that nobody counted: all up to those to a PING.
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

    /// `WHO[(count)][[masks]]`, then what it does.
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
