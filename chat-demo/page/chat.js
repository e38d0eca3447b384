// The chat page: joins the hub under a name, and keeps its conversations up to date.
//
// After each lost connection the page enters its rooms again. The history of a room has what it
// missed. Messages that the hub did not confirm are then sent again, unless they are in the history.

import { Conversation } from "./conversation.js";
import { ConnectionLost, HubConnection } from "./hub-connection.js";
import { View } from "./view.js";

/** The room of all clients. It is never left. */
const EVERYONE = "Everyone";
/** The prefix that .NET's hub protocol puts before the hub's own error text. */
const HUB_EXCEPTION = /^An unexpected error occurred invoking '.*?' on the server\. HubException: /;
// Milliseconds.
const TYPING_INTERVAL = 2_000;
const ENTER_AGAIN = 5_000;

const hub = new HubConnection("/chatHub");
/** By kind and name, in the order of the list. */
const conversations = new Map();
let me = "";
let current;
/** The server of the connection and its backplane, as the hub reports them. */
let server;
let lastTyped = 0;

const view = new View({
  join,
  leave,
  send: sendMessage,
  retry,
  open,
  close,
  enterRoom: (room) => open(conversation("room", oneLine(room))),
  openPerson: (name) => open(conversation("person", name)),
  typing: reportTyping,
});

hub.on("broadcastMessage", (by, text) => receive(conversation("room", EVERYONE), by, text));
hub.on("roomMessage", (room, by, text) => receive(conversations.get(`room ${room}`), by, text));
hub.on("privateMessage", (from, to, text) => receive(conversation("person", from === me ? to : from), from, text));
hub.on("typing", (room, name) => {
  const where = conversations.get(`room ${room}`);
  if (!where || name === me) return;
  setTimeout(show, where.typed(name) + 50);
  show();
});
hub.onstate = (state, reason) => {
  view.showState(state, reason);
  if (state === "connected") begin();
  else conversations.forEach((where) => where.stopPeople());
  show();
};

/** Connects under a name, and enters a room. */
function join(name, room) {
  me = oneLine(name);
  sessionStorage.setItem("name", me);
  sessionStorage.setItem("room", oneLine(room));
  conversations.clear();
  current = conversation("room", EVERYONE);
  if (oneLine(room)) current = conversation("room", oneLine(room));
  hub.url = `/chatHub?${new URLSearchParams({ name: me })}`;
  hub.start();
  view.showChat(me);
  show();
}

function leave() {
  hub.stop();
  sessionStorage.removeItem("name");
  [server, current] = [undefined, undefined];
  view.showWelcome("", sessionStorage.getItem("room") ?? "");
}

/** After each start of the connection. */
function begin() {
  hub.stream("Server", [], (state) => {
    const wasConnected = server?.backplane.state === "connected";
    server = state;
    view.showServer(state);
    // What failed without the backplane is done now.
    if (state.backplane.state === "connected" && !wasConnected) conversations.forEach(enter);
  });
  server = undefined;
  conversations.forEach((where) => {
    if (where.isRoom) where.entering();
    where.isEntered = !where.isRoom;
    sendWaiting(where);
  });
}

/** Enters a room, and takes what this page has missed there. */
async function enter(where) {
  if (where.isEntered) return;
  where.isEntered = true;
  where.entering();
  try {
    const history = await hub.invoke("JoinRoom", where.name);
    where.entered(history, me);
    where.stopPeople = hub.stream("People", [where.name], (people) => {
      where.people = people;
      show();
    });
    sendWaiting(where);
  } catch (error) {
    where.isEntered = false;
    if (!(error instanceof ConnectionLost)) {
      view.showError(shown(error));
      setTimeout(() => conversations.get(keyOf(where)) === where && enter(where), ENTER_AGAIN);
    }
  }
  show();
}

function keyOf({ kind, name }) {
  return `${kind} ${name}`;
}

/** Returns a conversation, which begins if there is none yet. */
function conversation(kind, name) {
  const key = keyOf({ kind, name });
  if (!conversations.has(key)) {
    const where = new Conversation(kind, name);
    conversations.set(key, where);
    if (server) enter(where);
  }
  return conversations.get(key);
}

function open(where) {
  if (!where.name) return;
  current = where;
  show();
  view.focusMessage();
}

function close(where) {
  where.stopPeople();
  if (where.isRoom && where.isEntered) hub.send("LeaveRoom", where.name);
  conversations.delete(keyOf(where));
  if (current === where) current = conversation("room", EVERYONE);
  show();
}

function receive(where, by, text) {
  // A message may arrive just after this page has left its room.
  if (!where) return;
  where.receive(by, text, by === me);
  if (by !== me && (where !== current || !view.isAttended)) where.unread++;
  show();
}

function sendMessage(text) {
  lastTyped = 0;
  current.compose(me, text);
  sendWaiting(current);
  view.showError("");
  show();
}

function retry(message) {
  message.state = "waiting";
  sendWaiting(current);
  show();
}

/** Sends the messages that wait, in their order, once the room is entered. */
function sendWaiting(where) {
  if (hub.state !== "connected" || !where.isEntered) return;
  for (const message of where.outgoing) {
    if (message.state === "waiting") deliver(where, message);
  }
}

async function deliver(where, message) {
  message.state = "sending";
  message.reason = undefined;
  try {
    if (where.isRoom) await hub.invoke("SendToRoom", where.name, me, message.text);
    else await hub.invoke("SendToUser", where.name, message.text);
    where.confirm(message);
  } catch (error) {
    fail(where, message, error);
  }
  show();
}

function fail(where, message, error) {
  // It has come back, so it was sent.
  if (!where.outgoing.includes(message)) {
    message.state = "sent";
    return;
  }
  message.isUnknown = error instanceof ConnectionLost;
  // The history of a room shows whether it arrived. A conversation with a person has none.
  message.state = message.isUnknown && where.isRoom ? "waiting" : "failed";
  message.reason = message.isUnknown ? "The connection was lost before the server confirmed it." : shown(error);
}

function reportTyping() {
  if (!current.isRoom || !current.isEntered || Date.now() - lastTyped < TYPING_INTERVAL) return;
  lastTyped = Date.now();
  hub.send("Typing", current.name);
}

function show() {
  if (!current) return;
  if (view.isAttended) current.unread = 0;
  view.show([...conversations.values()], current, me, server);
}

/** Returns the text of an error for the user. */
function shown(error) {
  const text = error.message.replace(HUB_EXCEPTION, "");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Returns a name or room as the server spells it. */
function oneLine(text) {
  return text.trim().replace(/\s+/g, " ");
}

document.addEventListener("visibilitychange", show);
const [name, room] = ["name", "room"].map((key) => sessionStorage.getItem(key) ?? "");
if (name) join(name, room);
else view.showWelcome("", room);
