//! Goes through the steps of a scenario and notes what the server sends.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time;

use crate::{
    bytes::{unescape, unhex},
    pipe::Pipe,
    response::{Response, show_body},
    script::{List, Scenario, Step},
    server::Server,
    websocket::{self, frame, frames},
};

/// One answer of our server beside the recorded one.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) ours: String,
    pub(crate) recorded: String,
}

pub(crate) async fn replay(list: &List, scenario: &Scenario) -> Vec<Case> {
    let mut replay = Replay {
        server: Server::start(list),
        connections: HashMap::new(),
        variables: HashMap::new(),
        settling: SETTLING,
    };
    let mut cases = Vec::new();
    for step in &scenario.steps {
        let ours = replay.take(step).await;
        if let Some(expected) = &step.expected {
            let recorded = expected.text.clone();
            let name = format!("{}: {}", list.name, expected.case);
            cases.push(Case { name, ours, recorded });
        }
    }
    cases
}

struct Replay {
    server: Server,
    connections: HashMap<String, Connection>,
    /// Texts that the server has made up, by their names in the steps.
    variables: HashMap<String, String>,
    /// The milliseconds after which a step reads the answer.
    settling: u64,
}

struct Connection {
    pipe: Pipe,
    /// The frames, or the bytes of the body, that a step has shown.
    shown: usize,
}

impl Replay {
    /// Takes one step and returns its result, if it has one.
    async fn take(&mut self, step: &Step) -> String {
        let (name, rest) = step.rest.split_once(' ').unwrap_or((&step.rest, ""));
        match step.verb.as_str() {
            "wait" => pause(name.parse().unwrap()).await,
            "settle" => self.settling = name.parse().unwrap(),
            "shutdown" => self.server.shutdown().await,
            "negotiate" => self.negotiate(&step.rest).await,
            "name" => {
                let id = self.variables["id"].clone();
                self.variables.insert(name.to_owned(), id);
            }
            "open" => self.open(name, rest).await,
            "drop" => drop(self.connections.remove(name)),
            "text" => self.send(name, frame(websocket::TEXT, &unescape(rest))),
            "binary" => self.send(name, frame(websocket::BINARY, &unescape(rest))),
            "messages" => self.send(name, frame(websocket::BINARY, &messages(rest))),
            "frame" => {
                let (opcode, payload) = rest.split_once(' ').unwrap();
                self.send(name, frame(opcode.parse().unwrap(), &unhex(payload)));
            }
            "raw" => self.send(name, unhex(rest)),
            "close" => {
                let code = rest.parse().map(u16::to_be_bytes).ok();
                self.send(name, frame(websocket::CLOSE, code.as_ref().map_or(&[], |code| code)));
            }
            "take" => return self.frames(name).await,
            "all" => return self.all_frames(name).await,
            "status" => return self.response(name).await.status().to_owned(),
            "refused" => {
                let response = self.response(name).await;
                return format!("{} | {}", response.status(), show_body(&response.body));
            }
            "begin" => self.begin(name, rest, step),
            "head" | "show" => return self.response(name).await.show(),
            "outline" => return self.response(name).await.outline(),
            "more" => return self.more(name).await,
            "end" => return self.end(name).await,
            method => {
                self.begin(REQUEST, &format!("{method} {}", step.rest), step);
                return self.end(REQUEST).await;
            }
        }
        String::new()
    }

    async fn negotiate(&mut self, query: &str) {
        let line = match query {
            "" => "POST /testhub/negotiate?negotiateVersion=1".to_owned(),
            path if path.starts_with('/') => format!("GET {path}"),
            query => format!("POST /testhub/negotiate?{query}"),
        };
        let pipe = self.server.connect();
        pipe.send(request(&line, &[], b""));
        pause(self.settling).await;
        let body = Response::parse(&pipe.received()).expect("the negotiation is answered").body;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let first = |fields: &[&str]| {
            let found = fields.iter().find_map(|field| answer.get(field)?.as_str());
            percent_encoded(found.unwrap())
        };
        let token = first(&["connectionToken", "ConnectionToken", "connectionId"]);
        self.variables.insert("token".to_owned(), token);
        let id = first(&["connectionId", "ConnectionId"]);
        self.variables.insert("id".to_owned(), id);
    }

    async fn open(&mut self, name: &str, path: &str) {
        let headers = UPGRADE.map(str::to_owned);
        self.connect(name, request(&format!("GET {}", self.filled(path)), &headers, b""));
        pause(self.settling).await;
    }

    fn begin(&mut self, name: &str, line: &str, step: &Step) {
        let body = match std::str::from_utf8(&step.body) {
            _ if line.starts_with("GET") => Vec::new(),
            Ok(text) => self.filled(text).into_bytes(),
            Err(_) => step.body.clone(),
        };
        self.connect(name, request(&self.filled(line), &step.headers, &body));
    }

    fn connect(&mut self, name: &str, bytes: Vec<u8>) {
        let pipe = self.server.connect();
        pipe.send(bytes);
        self.connections.insert(name.to_owned(), Connection { pipe, shown: 0 });
    }

    /// Returns a text with the values of its variables.
    fn filled(&self, text: &str) -> String {
        let fill = |text: String, (name, value): (&String, &String)| {
            text.replace(&format!("${name}"), value)
        };
        self.variables.iter().fold(text.to_owned(), fill)
    }

    fn send(&self, name: &str, bytes: Vec<u8>) {
        self.connections[name].pipe.send(bytes);
    }

    /// Shows the frames since the last step that has shown some.
    async fn frames(&mut self, name: &str) -> String {
        pause(self.settling).await;
        let connection = self.connections.get_mut(name).unwrap();
        let all = frames(&connection.pipe.received().bytes);
        let shown = websocket::show(&all[connection.shown..], connection.shown);
        connection.shown = all.len();
        if shown.is_empty() { "-".to_owned() } else { shown }
    }

    /// Shows the frames and whether the server has closed the connection.
    async fn all_frames(&mut self, name: &str) -> String {
        pause(LONG_SETTLING).await;
        let shown = self.frames(name).await;
        let is_at_end = self.connections[name].pipe.received().is_at_end;
        let end = if is_at_end { "FIN" } else { "open" };
        if shown == "-" { end.to_owned() } else { format!("{shown} | {end}") }
    }

    async fn response(&mut self, name: &str) -> Response {
        pause(self.settling).await;
        let connection = self.connections.get_mut(name).unwrap();
        let response = Response::parse(&connection.pipe.received()).unwrap_or_default();
        connection.shown = response.body.len();
        let body = String::from_utf8_lossy(&response.body);
        for (name, key) in [("cursor", r#""C":""#), ("groups", r#""G":""#)] {
            let last = body.rsplit_once(key).and_then(|(_, value)| value.split_once('"'));
            if let Some((value, _)) = last {
                self.variables.insert(name.to_owned(), percent_encoded(value));
            }
        }
        response
    }

    /// Shows the part of the body since the last step.
    async fn more(&mut self, name: &str) -> String {
        let shown = self.connections[name].shown;
        let response = self.response(name).await;
        show_body(response.body.get(shown..).unwrap_or_default())
    }

    async fn end(&mut self, name: &str) -> String {
        let response = self.response(name).await;
        self.connections.remove(name);
        response.show()
    }
}

/// Encodes the characters of base64 that have a meaning in queries.
fn percent_encoded(token: &str) -> String {
    token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn request(line: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{line} HTTP/1.1\r\nhost: server\r\n");
    for header in headers {
        head += header;
        head += "\r\n";
    }
    if !line.starts_with("GET") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Adds the length of each message. Messages are below 128 bytes and separated by `/`.
fn messages(text: &str) -> Vec<u8> {
    let messages = text.split('/').map(unhex);
    messages
        .flat_map(|message| [vec![u8::try_from(message.len()).unwrap()], message].concat())
        .collect()
}

/// Lets the server work for a time of the paused clock, which moves when all tasks wait.
async fn pause(milliseconds: u64) {
    time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The name of a connection for one request.
const REQUEST: &str = "request";
/// The milliseconds after which most steps read the answer, as in the recording.
const SETTLING: u64 = 200;
const LONG_SETTLING: u64 = 500;
const UPGRADE: [&str; 4] = [
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];
