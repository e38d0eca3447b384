// Loads SignalR 2's client into a window of jsdom, as a page loads it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import EventSource from "eventsource";
import { JSDOM } from "jsdom";

const require = createRequire(import.meta.url);

/** The files that a page loads before the script of the server. */
export const SCRIPTS = [
  require.resolve("jquery/dist/jquery.js"),
  require.resolve("signalr/jquery.signalR.js"),
];

/** Returns jQuery of a new window, with the hubs of the server behind `page`. */
export async function load(page) {
  const { window } = new JSDOM("<!DOCTYPE html>", { url: page, runScripts: "outside-only" });
  // jsdom has no Server-Sent Events.
  window.EventSource = Events;
  for (const script of SCRIPTS) window.eval(readFileSync(script, "utf8"));
  const hubs = await fetch(new URL("signalr/hubs", page));
  window.eval(await hubs.text());
  return window.jQuery;
}

/** The client recognizes the end of a stream by the phase of the error, which this library lacks. */
class Events extends EventSource {
  addEventListener(name, listener, ...rest) {
    const act = name === "error" ? (event) => listener({ ...event, eventPhase: 2 }) : listener;
    return super.addEventListener(name, act, ...rest);
  }
}

/** Starts the chat's hub over a transport, and records the messages that its page would show. */
export async function connect($, name, transport) {
  const received = [];
  const { hub, chatHub } = $.connection;
  const person = { name, received, hub, chat: chatHub, states: [] };
  chatHub.client.broadcastMessage = (...args) => { received.push(args); };
  chatHub.client.roomMessage = (...args) => { received.push(args); };
  hub.stateChanged(({ newState }) => { person.states.push(newState); });
  await hub.start({ transport });
  if (hub.transport.name !== transport) throw new Error(`connected by ${hub.transport.name}`);
  return person;
}
