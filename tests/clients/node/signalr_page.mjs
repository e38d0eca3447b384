// A stand-in for the page around a client that expects a browser. Import it before the client.

import eventSource from "eventsource";
import webSocket from "ws";

globalThis.window = globalThis;
globalThis.navigator ??= { appName: "Netscape", userAgent: "" };
globalThis.location = new URL("http://page.test/");
globalThis.document = { readyState: "complete", location, createElement: () => new Anchor() };
globalThis.WebSocket = webSocket;
globalThis.EventSource = eventSource;
globalThis.addEventListener ??= () => {};
globalThis.removeEventListener ??= () => {};

/** An element that parses its address. */
class Anchor {
  set href(value) { this.url = new URL(value, location); }
  get href() { return this.url.href; }
  get protocol() { return this.url.protocol; }
  get host() { return this.url.host; }
}

/** Requests by fetch, with the part of the interface that the client uses. */
globalThis.XMLHttpRequest = class {
  #stop = new AbortController();
  #headers = {};
  readyState = 0;
  status = 0;
  responseText = "";
  // Without it, the client takes the page for one that cannot call other origins.
  withCredentials = false;

  open(method, url) {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  async send(body) {
    try {
      const request = { method: this.method, headers: this.#headers, body: body || undefined, signal: this.#stop.signal };
      const response = await fetch(this.url, request);
      this.status = response.status;
      this.responseText = await response.text();
    } catch {
      this.status = 0;
    }
    this.readyState = 4;
    this.onreadystatechange?.();
  }

  abort() {
    this.#stop.abort();
  }
};
