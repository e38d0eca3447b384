// What the page shows. It knows the elements of the page, and nothing of the hub.
//
// Texts of other users are inserted as text, never as HTML.

const element = (id) => document.getElementById(id);
const [welcome, chat, joining, entering, composing] = ["welcome", "chat", "join", "enter", "compose"].map(element);
const [name, room, newRoom, message, send] = ["name", "room", "new-room", "message", "send"].map(element);
const [state, server, backplane, error, me] = ["state", "server", "backplane", "error", "me"].map(element);
const [log, messages, empty, typing] = ["log", "messages", "empty", "typing"].map(element);
const [list, people, count, panel, more] = ["conversations", "people", "count", "panel", "more"].map(element);
const [title, label] = ["title", "message-label"].map(element);

/** Colours of the circles beside the messages, see the style sheet. */
const HUES = 6;

export class View {
  #on;
  /** The conversation that is shown. */
  #current;
  /** The element of each message. */
  #items = new WeakMap();
  /** Whether the last message is visible. */
  #isAtEnd = true;

  /** @param on functions to call when the user does something */
  constructor(on) {
    this.#on = on;
    joining.addEventListener("submit", (event) => this.#submit(event, () => this.#join()));
    composing.addEventListener("submit", (event) => this.#submit(event, () => this.#send()));
    entering.addEventListener("submit", (event) => this.#submit(event, () => this.#enter()));
    element("leave").addEventListener("click", () => on.leave());
    more.addEventListener("click", () => this.#showPanel(!panel.classList.contains("is-open")));
    message.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      composing.requestSubmit();
    });
    message.addEventListener("input", () => {
      this.#fitMessage();
      if (message.value) on.typing();
    });
    log.addEventListener("scroll", () => {
      this.#isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    });
    new ResizeObserver(() => this.#stayAtEnd()).observe(log);
  }

  /** Whether the user can see the page. */
  get isAttended() {
    return document.visibilityState === "visible";
  }

  showWelcome(asName, asRoom) {
    [welcome.hidden, chat.hidden] = [false, true];
    [name.value, room.value] = [asName, asRoom];
    document.title = "Chat";
    this.showState("not connected");
    server.textContent = "–";
    backplane.hidden = true;
    name.focus();
  }

  showChat(as) {
    [welcome.hidden, chat.hidden] = [true, false];
    me.textContent = as;
    this.#showPanel(false);
    this.showError("");
    this.focusMessage();
  }

  showState(now, reason) {
    state.textContent = now;
    state.dataset.state = now;
    state.title = reason?.message ?? "";
  }

  showServer({ server: address, backplane: { state: now, error: reason } }) {
    server.textContent = address;
    backplane.hidden = now === "connected";
    const text = `The backplane is not connected. Messages are not delivered. ${reason ?? "Connecting."}`;
    // Written only if it changes, since a screen reader reads each new text.
    if (!backplane.hidden && backplane.textContent !== text) backplane.textContent = text;
  }

  /** Shows an error; an empty text hides the last one. */
  showError(text) {
    error.textContent = text;
    error.hidden = text === "";
  }

  focusMessage() {
    message.focus();
  }

  /** Shows the conversations, one of them whole. */
  show(conversations, current, own, ownServer) {
    const hasChanged = current !== this.#current;
    this.#current = current;
    const unread = conversations.reduce((sum, { unread }) => sum + unread, 0);
    document.title = `${unread ? `(${unread}) ` : ""}${own} · Chat`;
    this.#showConversations(conversations, current);
    this.#showMessages(current, own, hasChanged);
    this.#showPeople(current, own, ownServer);
    const here = current.isRoom ? ` (${current.people.length})` : "";
    more.textContent = `Rooms and people${here}${unread ? ` · ${unread} unread` : ""}`;
    title.textContent = current.name;
    label.textContent = current.isRoom ? `Message to ${current.name}` : `Private message to ${current.name}`;
    typing.textContent = typed(current.typing);
  }

  #showConversations(conversations, current) {
    const facts = conversations.map((where) => [where.kind, where.name, where.unread, where === current]);
    replace(list, facts, () => conversations.map((where) => {
      const item = create("li", "conversation");
      const button = append(item, "button", `open ${where.kind}`);
      button.type = "button";
      button.dataset.name = where.name;
      if (where === current) button.setAttribute("aria-current", "true");
      append(button, "span", "label", where.name);
      if (where.unread > 0) {
        append(button, "span", "unread", String(where.unread));
        append(button, "span", "hidden", " unread");
      }
      button.addEventListener("click", () => {
        this.#showPanel(false);
        this.#on.open(where);
      });
      if (where !== conversations[0]) {
        const close = append(item, "button", "close", "×");
        close.type = "button";
        close.dataset.name = where.name;
        close.setAttribute("aria-label", where.isRoom ? `Leave ${where.name}` : `Close ${where.name}`);
        close.addEventListener("click", () => this.#on.close(where));
      }
      return item;
    }));
  }

  #showPeople(current, own, ownServer) {
    const entered = current.isRoom ? current.people : [];
    element("people-title").hidden = !current.isRoom;
    count.textContent = String(entered.length);
    replace(people, [current.name, ownServer?.server, entered], () => entered.map((person) => {
      const item = create("li", "person");
      const button = append(item, "button", "open");
      button.type = "button";
      button.dataset.name = person.name;
      button.append(circle(person.name));
      append(button, "span", "label", person.name);
      const isMe = person.name === own;
      const servers = person.servers.map((address) => (address === ownServer?.server ? "this server" : address));
      append(button, "span", "at", [isMe ? "you" : "", ...servers].filter(Boolean).join(", "));
      if (isMe) button.disabled = true;
      else button.title = `Write to ${person.name} only`;
      button.addEventListener("click", () => {
        this.#showPanel(false);
        this.#on.openPerson(person.name);
      });
      return item;
    }));
  }

  #showMessages(current, own, hasChanged) {
    // A screen reader reads messages that are added, and not those of a conversation that is opened.
    if (hasChanged) log.setAttribute("aria-live", "off");
    const shown = current.shown;
    const items = shown.map((each) => this.#item(each, own));
    for (const item of [...messages.children]) {
      if (!items.includes(item)) item.remove();
    }
    items.forEach((item, index) => {
      if (messages.children[index] !== item) messages.insertBefore(item, messages.children[index] ?? null);
    });
    empty.hidden = shown.length > 0;
    empty.textContent = current.isRoom
      ? "No messages yet. Open this page in a second window and write one."
      : `Only ${current.name} and you see these messages. No server keeps them.`;
    if (hasChanged) {
      this.#isAtEnd = true;
      setTimeout(() => log.setAttribute("aria-live", "polite"), 100);
    }
    this.#stayAtEnd();
  }

  /** Returns the element of a message, up to date. */
  #item(shown, own) {
    let item = this.#items.get(shown);
    if (!item) {
      item = create("li", "message");
      item.classList.toggle("mine", shown.by === own);
      if (shown.isAfterGap) item.classList.add("after-gap");
      item.append(circle(shown.by));
      const bubble = append(item, "div", "bubble");
      const heading = append(bubble, "div", "by");
      append(heading, "span", "name", shown.by);
      append(heading, "time", "when", new Date(shown.at).toLocaleTimeString([], { timeStyle: "short" }));
      const status = append(heading, "span", "status");
      status.setAttribute("aria-live", "off");
      append(bubble, "p", "text", shown.text);
      const failure = append(bubble, "p", "failure");
      append(failure, "span", "reason");
      const again = append(failure, "button", "again", "Send again");
      again.type = "button";
      again.addEventListener("click", () => this.#on.retry(shown));
      this.#items.set(shown, item);
    }
    item.dataset.state = shown.state;
    item.querySelector(".status").textContent = STATUS[shown.state];
    item.querySelector(".failure").hidden = shown.state !== "failed";
    item.querySelector(".reason").textContent = shown.reason ?? "";
    return item;
  }

  /** Keeps the last message visible, unless the user has scrolled back. */
  #stayAtEnd() {
    if (this.#isAtEnd) log.scrollTop = log.scrollHeight;
  }

  /** On a phone, shows or hides the lists of rooms and people. */
  #showPanel(isOpen) {
    panel.classList.toggle("is-open", isOpen);
    more.setAttribute("aria-expanded", String(isOpen));
  }

  #submit(event, act) {
    event.preventDefault();
    act();
  }

  #join() {
    const isNamed = name.value.trim() !== "";
    element("join-error").hidden = isNamed;
    name.setAttribute("aria-invalid", String(!isNamed));
    if (isNamed) this.#on.join(name.value, room.value);
    else name.focus();
  }

  #send() {
    const text = message.value;
    message.focus();
    if (!text.trim()) return;
    message.value = "";
    this.#fitMessage();
    this.#isAtEnd = true;
    this.#on.send(text);
  }

  #enter() {
    if (!newRoom.value.trim()) return;
    this.#showPanel(false);
    this.#on.enterRoom(newRoom.value);
    newRoom.value = "";
  }

  #fitMessage() {
    message.style.height = "auto";
    message.style.height = `${message.scrollHeight + 2}px`;
  }
}

const STATUS = { received: "", waiting: "waiting for the server", sending: "sending", sent: "sent ✓", failed: "not sent" };

/** Returns who types, as a sentence. */
function typed(names) {
  switch (names.length) {
    case 0:
      return "";
    case 1:
      return `${names[0]} is typing …`;
    case 2:
      return `${names[0]} and ${names[1]} are typing …`;
    default:
      return `${names.length} people are typing …`;
  }
}

/** Returns a circle with the first letter of a name, in the colour of the name. */
function circle(of) {
  const mark = create("span", "circle", [...of][0]?.toUpperCase());
  mark.setAttribute("aria-hidden", "true");
  const sum = [...of].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) % 9973, 7);
  mark.dataset.hue = String(sum % HUES);
  return mark;
}

/** Replaces the items of a list if the facts that they show have changed. The focus stays at its button. */
function replace(parent, facts, build) {
  const key = JSON.stringify(facts);
  if (parent.facts === key) return;
  parent.facts = key;
  const { className, dataset } = parent.contains(document.activeElement) ? document.activeElement : {};
  parent.replaceChildren(...build());
  const isSame = (button) => button.className === className && button.dataset.name === dataset.name;
  if (className) [...parent.querySelectorAll("button")].find(isSame)?.focus();
}

function create(tag, className, text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

function append(parent, tag, className, text) {
  const child = create(tag, className, text);
  parent.append(child);
  return child;
}
