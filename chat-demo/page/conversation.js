// One conversation: a room, or the messages with one person. It knows neither the page nor the hub.
//
// Messages are in the order of the hub, which is the same on all servers. Own messages wait in
// `outgoing` until they come back from the hub in this order.

/** Messages that a page keeps of one conversation. */
const MESSAGES_MAX = 500;
// Milliseconds. A page reports at most every two seconds that its user types.
const TYPING_SHOWN = 4_000;

export class Conversation {
  /** The messages in the order of the hub: { by, text, at, state, reason }. */
  messages = [];
  /** Own messages that have not come back: the same, with the state "sending", "waiting" or "failed". */
  outgoing = [];
  /** Number of messages that were not shown. */
  unread = 0;
  /** The people in a room: { name, servers }. */
  people = [];
  /** Whether the hub sends the messages of this conversation. */
  isEntered;
  /** Ends the stream of the people. */
  stopPeople = () => {};

  /** When each person typed last, by name. */
  #typing = new Map();
  /** Messages since a new connection, until the history tells what precedes them. */
  #live = null;

  /** @param {"room" | "person"} kind */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.isEntered = !this.isRoom;
  }

  get isRoom() {
    return this.kind === "room";
  }

  /** All messages in the order to show. */
  get shown() {
    return [...this.messages, ...this.outgoing];
  }

  /** Adds a message from the hub. */
  receive(by, text, isMine) {
    this.#typing.delete(by);
    const message = { by, text, at: Date.now(), state: "received" };
    if (this.#live) this.#live.push(message);
    else this.#add(message, isMine);
  }

  /** Collects the messages of a new connection until `entered`. */
  entering() {
    this.#live ??= [];
  }

  /**
   * Adds the messages of the history that this page lacks, then those since the new connection.
   */
  entered(history, me) {
    const past = history.map((message) => ({ ...message, state: "received" }));
    const hadMessages = this.messages.length > 0;
    const missed = newPart(this.messages, past);
    // Not even the oldest message of the history is known, so others may precede it.
    const hasGap = hadMessages && past.length >= HISTORY_MAX && missed.length === past.length;
    if (hasGap) missed[0].isAfterGap = true;
    for (const message of missed) this.#add(message, message.by === me);
    for (const message of newPart(past, this.#live ?? [])) this.#add(message, message.by === me);
    this.#live = null;
    // An own message may be among those that are missing. Sent again, it could come twice.
    if (hasGap) this.outgoing.filter(({ isUnknown }) => isUnknown).forEach((own) => (own.state = "failed"));
  }

  /** Adds an own message that is to be sent. */
  compose(by, text) {
    const message = { by, text, at: Date.now(), state: "waiting" };
    this.outgoing.push(message);
    return message;
  }

  /** The hub has confirmed an own message. */
  confirm(message) {
    message.state = "sent";
    message.reason = undefined;
    // It has come back already, unless this page has left the room meanwhile.
    if (this.#takeOutgoing((own) => own === message)) this.#push(message);
  }

  /** Notes that somebody types. Returns when that ends, in milliseconds. */
  typed(by) {
    this.#typing.set(by, Date.now());
    return TYPING_SHOWN;
  }

  /** The names of those who type. */
  get typing() {
    const names = [...this.#typing].filter(([, at]) => Date.now() - at < TYPING_SHOWN);
    return names.map(([name]) => name);
  }

  /** Adds a message at its place. An own one takes the place of the first outgoing one with its text. */
  #add(message, isMine) {
    const own = isMine && this.#takeOutgoing(({ text }) => text === message.text);
    if (own && own.state !== "sending") own.state = "sent";
    this.#push(own || message);
  }

  #push(message) {
    this.messages.push(message);
    if (this.messages.length > MESSAGES_MAX) this.messages.shift();
  }

  #takeOutgoing(matches) {
    const index = this.outgoing.findIndex(matches);
    return index < 0 ? undefined : this.outgoing.splice(index, 1)[0];
  }
}

/** Messages that the history of a room has. */
const HISTORY_MAX = 50;

/**
 * Returns the part of the second list that the first one lacks. Both are parts of one sequence, and
 * the second one begins within the first one or after it.
 */
function newPart(first, second) {
  const earliest = Math.max(0, first.length - second.length);
  for (let start = earliest; start < first.length; start++) {
    const overlap = first.slice(start);
    const isSame = overlap.every(({ by, text }, index) => by === second[index].by && text === second[index].text);
    if (isSame) return second.slice(overlap.length);
  }
  return [...second];
}
