// The chat page: name and room, the messages, and the state of the connections.
//
// Texts of other users are inserted as text, never as HTML.

import { HubConnection } from "./hub-connection.js";

const element = (id) => document.getElementById(id);
const [form, name, room, message] = ["chat", "name", "room", "message"].map(element);
const [log, messages, empty, error] = ["log", "messages", "empty", "error"].map(element);
const [state, server, backplane] = ["state", "server", "backplane"].map(element);

/** The prefix that .NET's hub protocol puts before the hub's own error text. */
const HUB_EXCEPTION = /^An unexpected error occurred invoking '.*?' on the server\. HubException: /;
const MESSAGES_MAX = 500;
// Milliseconds.
const STATUS_INTERVAL = 1_000;
const STATUS_TIMEOUT = 5_000;

const hub = new HubConnection("/chatHub");
hub.on("broadcastMessage", (by, text) => add(by, text));
hub.on("roomMessage", (where, by, text) => add(by, text, where));
hub.onstate = (now, reason) => {
  state.textContent = now;
  state.dataset.state = now;
  state.title = reason?.message ?? "";
  // A new connection is in no group.
  joined = "";
  if (now === "connected") attempt(enterRoom);
};

/** The room that the connection has joined; empty for none. */
let joined = "";
/** Whether the last message is visible. */
let isAtEnd = true;
/** Number of messages that are being sent. */
let sending = 0;
/** The change of rooms in progress. Changes run one after the other. */
let entering = Promise.resolve();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(sendMessage);
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
message.addEventListener("input", () => {
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight + 2}px`;
});
room.addEventListener("change", () => hub.state === "connected" && attempt(enterRoom));
log.addEventListener("scroll", () => {
  isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
});
new ResizeObserver(stayAtEnd).observe(log);
name.addEventListener("change", () => sessionStorage.setItem("name", name.value));

/** Sends the text of the message box. If that fails, the text returns to the box. */
async function sendMessage() {
  const by = oneLine(name.value);
  const text = message.value;
  if (!by) throw complaint("Please enter a name.", name);
  if (!text.trim()) throw complaint("Please enter a message.", message);
  // At once: the user may type the next message before the reply arrives.
  resetMessage("");
  busy(+1);
  try {
    await enterRoom();
    const where = oneLine(room.value);
    if (where) await hub.invoke("SendToRoom", where, by, text);
    else await hub.invoke("Send", by, text);
  } catch (reason) {
    if (!message.value) resetMessage(text);
    throw reason;
  } finally {
    busy(-1);
  }
}

/** Leaves the old room and joins the one in the room box, if they differ. */
function enterRoom() {
  const entered = entering.then(async () => {
    const wanted = oneLine(room.value);
    if (wanted === joined) return;
    if (joined) await hub.invoke("LeaveRoom", joined);
    joined = "";
    if (wanted) await hub.invoke("JoinRoom", wanted);
    joined = wanted;
  });
  entering = entered.catch(() => {});
  return entered;
}

/** Runs an action and shows its error. */
async function attempt(action) {
  try {
    await action();
    error.hidden = true;
  } catch (reason) {
    const text = reason.message.replace(HUB_EXCEPTION, "");
    error.textContent = text.charAt(0).toUpperCase() + text.slice(1);
    error.hidden = false;
  }
}

function add(by, text, where) {
  const item = document.createElement("li");
  item.classList.toggle("mine", by === oneLine(name.value));
  const heading = append(item, "div", "by");
  append(heading, "span", "name", by);
  if (where) append(heading, "span", "room", `in ${where}`);
  append(heading, "time", "when", new Date().toLocaleTimeString([], { timeStyle: "short" }));
  append(item, "p", "text", text);
  messages.append(item);
  if (messages.childElementCount > MESSAGES_MAX) messages.firstElementChild.remove();
  empty.hidden = true;
  stayAtEnd();
}

/** Keeps the last message visible, unless the user has scrolled back. */
function stayAtEnd() {
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function append(parent, tag, className, text = "") {
  const child = document.createElement(tag);
  child.className = className;
  child.textContent = text;
  parent.append(child);
  return child;
}

/** Marks the form as busy. The style shows it after a moment, since most messages are faster. */
function busy(change) {
  sending += change;
  form.setAttribute("aria-busy", String(sending > 0));
}

function resetMessage(text) {
  message.value = text;
  message.dispatchEvent(new Event("input"));
}

function complaint(text, field) {
  field.focus();
  return new Error(text);
}

/** Returns a name or room as the server spells it. */
function oneLine(text) {
  return text.trim().replace(/\s+/g, " ");
}

/** Polls the status of the server. */
async function watchStatus() {
  try {
    const signal = AbortSignal.timeout(STATUS_TIMEOUT);
    const response = await fetch("/status", { cache: "no-store", signal });
    show(await response.json());
  } catch {
    // The state of the hub connection shows a server that does not answer.
  }
  setTimeout(watchStatus, STATUS_INTERVAL);
}

function show(status) {
  server.textContent = status.server;
  document.title = `${status.app} at ${status.server}`;
  const { state: now, error: reason } = status.backplane;
  backplane.hidden = now === "connected";
  const text =
    now === "connected"
      ? ""
      : `The backplane is not connected. Messages are not delivered. ${reason ?? "Connecting."}`;
  // Written only if it changes, since a screen reader reads each new text.
  if (backplane.textContent !== text) backplane.textContent = text;
}

name.value = sessionStorage.getItem("name") ?? "";
(name.value ? message : name).focus();
hub.start();
watchStatus();
