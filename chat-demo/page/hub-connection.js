// A SignalR hub connection: WebSocket, the JSON hub protocol, streams, and reconnects.
//
// It skips the negotiation, which selects a transport: a connection is then one request, which any
// server behind a load balancer can take.
//
// Each message is a JSON text that ends in the character U+001E. After a handshake, client and
// server call each other's methods. Each side disconnects if the other sends nothing, not even a
// ping, for a time limit.

/** The server did not answer a call: whether the call ran is unknown, unless the message was never sent. */
export class ConnectionLost extends Error {}

/** The connection to one hub. It reports changes of its state through onstate. */
export class HubConnection {
  /** "connecting", "connected", "reconnecting" or "disconnected". */
  state = "disconnected";

  /** Called as onstate(state, reason), reason being an Error or undefined. */
  onstate = () => {};

  #url;
  #handlers = new Map();
  #calls = new Map();
  #lastCall = 0;
  #socket;
  #unread = "";
  #hasHandshake = false;
  #attempts = 0;
  #timers = { ping: 0, silence: 0, retry: 0 };
  // Number of the current attempt. Callbacks of an older attempt do nothing.
  #generation = 0;

  /** @param {string} url of the hub, relative to the page */
  constructor(url) {
    this.url = url;
  }

  /** Sets the URL of the next connection, relative to the page. */
  set url(url) {
    this.#url = new URL(url, document.baseURI);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
  }

  /** Sets the handler for a method that the server invokes. The case of its name is ignored. */
  on(method, handler) {
    this.#handlers.set(method.toLowerCase(), handler);
  }

  /** Connects. Reconnects after each lost connection, until stop. */
  start() {
    this.stop();
    this.#attempts = 0;
    this.#setState("connecting");
    this.#connect();
  }

  /** Disconnects and does not reconnect. */
  stop() {
    this.#generation++;
    if (this.#hasHandshake) this.#write({ type: CLOSE });
    this.#cleanUp(new ConnectionLost("The connection was stopped."));
    this.#setState("disconnected");
  }

  /** Calls a method of the hub. Resolves to its result, or rejects with the server's error. */
  invoke(target, ...args) {
    return new Promise((resolve, reject) => {
      this.#call(INVOCATION, target, args, { resolve, reject });
    });
  }

  /** Calls a method without waiting for its result or error. */
  send(target, ...args) {
    if (this.state === "connected") this.#write({ type: INVOCATION, target, arguments: args });
  }

  /**
   * Calls a method that returns a stream, and passes each item to onitem. Without an error, onend
   * gets undefined. Returns a function that cancels the stream.
   */
  stream(target, args, onitem, onend = () => {}) {
    const ends = { resolve: () => onend(), reject: onend };
    const invocationId = this.#call(STREAM_INVOCATION, target, args, { ...ends, onitem });
    return () => {
      if (this.#calls.delete(invocationId)) this.#write({ type: CANCEL_INVOCATION, invocationId });
    };
  }

  #call(type, target, args, call) {
    if (this.state !== "connected") {
      call.reject(new ConnectionLost("Not connected to the server."));
      return undefined;
    }
    const invocationId = String(++this.#lastCall);
    this.#calls.set(invocationId, call);
    this.#write({ type, invocationId, target, arguments: args });
    return invocationId;
  }

  #connect() {
    const generation = ++this.#generation;
    this.#attempts++;
    // Until the server's handshake reply. After it, each message restarts the timer.
    this.#startTimeout("The server did not answer in time.", HANDSHAKE_TIMEOUT);
    this.#open(() => generation === this.#generation);
  }

  #open(isCurrent) {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => isCurrent() && this.#write({ protocol: "json", version: 1 });
    socket.onmessage = ({ data }) => {
      try {
        if (isCurrent()) this.#read(data, isCurrent);
      } catch (error) {
        if (isCurrent()) this.#lost(error);
      }
    };
    socket.onclose = () => isCurrent() && this.#lost(new ConnectionLost("The connection was lost."));
  }

  #read(data, isCurrent) {
    const texts = (this.#unread + data).split(SEPARATOR);
    this.#unread = texts.pop();
    for (const text of texts) {
      if (!isCurrent()) return;
      const message = JSON.parse(text);
      if (this.#hasHandshake) {
        this.#startTimeout("The server timed out.", SERVER_TIMEOUT);
        this.#handle(message);
      } else {
        this.#acceptHandshake(message);
      }
    }
  }

  #acceptHandshake({ error }) {
    if (error) throw new ConnectionLost(error);
    this.#hasHandshake = true;
    this.#attempts = 0;
    this.#startTimeout("The server timed out.", SERVER_TIMEOUT);
    // The server's timeout for this client starts with the first ping.
    this.#write({ type: PING });
    this.#setState("connected");
  }

  #handle(message) {
    switch (message.type) {
      case INVOCATION:
        this.#handlers.get(message.target.toLowerCase())?.(...message.arguments);
        break;
      case STREAM_ITEM:
        this.#calls.get(message.invocationId)?.onitem?.(message.item);
        break;
      case COMPLETION:
        this.#complete(message);
        break;
      case CLOSE:
        this.#closed(message);
        break;
      default: // a ping, or a message of a newer protocol
    }
  }

  #complete({ invocationId, result, error }) {
    const call = this.#calls.get(invocationId);
    this.#calls.delete(invocationId);
    if (error) call?.reject(new Error(error));
    else call?.resolve(result);
  }

  #closed({ error, allowReconnect }) {
    const reason = new ConnectionLost(error ?? "The server closed the connection.");
    if (allowReconnect) {
      this.#lost(reason);
      return;
    }
    this.#generation++;
    this.#cleanUp(reason);
    this.#setState("disconnected", reason);
  }

  /** Retries with a growing delay. Its random part spreads the reconnects of many clients. */
  #lost(reason) {
    this.#generation++;
    this.#cleanUp(reason);
    this.#setState("reconnecting", reason);
    const delay = RETRY_DELAYS[Math.min(this.#attempts, RETRY_DELAYS.length - 1)];
    this.#timers.retry = setTimeout(() => this.#connect(), delay * (0.75 + Math.random() / 2));
  }

  #cleanUp(reason) {
    Object.values(this.#timers).forEach(clearTimeout);
    this.#hasHandshake = false;
    this.#unread = "";
    this.#socket?.close();
    this.#socket = undefined;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    calls.forEach(({ reject }) => reject(reason));
  }

  #write(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify(message) + SEPARATOR);
    clearTimeout(this.#timers.ping);
    if (this.#hasHandshake) {
      this.#timers.ping = setTimeout(() => this.#write({ type: PING }), KEEP_ALIVE);
    }
  }

  #startTimeout(text, within) {
    clearTimeout(this.#timers.silence);
    this.#timers.silence = setTimeout(() => this.#lost(new ConnectionLost(text)), within);
  }

  #setState(state, reason) {
    if (state === this.state) return;
    this.state = state;
    this.onstate(state, reason);
  }
}

const SEPARATOR = "\u001e";

const INVOCATION = 1;
const STREAM_ITEM = 2;
const COMPLETION = 3;
const STREAM_INVOCATION = 4;
const CANCEL_INVOCATION = 5;
const PING = 6;
const CLOSE = 7;

// Milliseconds. The first three are the defaults of SignalR's own clients.
const HANDSHAKE_TIMEOUT = 15_000;
const SERVER_TIMEOUT = 30_000;
const KEEP_ALIVE = 15_000;
/** By the number of attempts since the last connection. The last delay repeats. */
const RETRY_DELAYS = [0, 500, 1_000, 2_000, 5_000, 10_000];
