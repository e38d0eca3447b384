// Unmodified SignalR clients count aloud, and listen to each other, while their connections break. They
// have the stateful reconnect, or go on by the cursor of their last message.
//
// usage: node signalr_sequences.mjs URL CLIENTS stateful|cursor
// prints "all have said N" for every 25 calls of each client
// After SIGTERM, prints {"reconnecting": [events of each client], "errors": [found in the end]}
//
// A client counts within its connection: the server expects each number after the one before, once. If the
// connection cannot go on, the client counts from 1 again, under another name. With a cursor, it also
// hears all that others have said meanwhile.

import { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { report, run, until } from "./lib.mjs";

const STEP = 25;
const errors = [];
let isOver = false;
process.on("SIGTERM", () => { isOver = true; });

/** The last number that the server has confirmed to each speaker. */
const confirmed = new Map();

class Client {
  calls = 0;
  reconnecting = 0;
  epoch = 0;

  constructor(name, url, { isBinary, hasCursor }) {
    this.name = name;
    this.hasCursor = hasCursor;
    let place = { cursor: "", groups: "" };
    const address = () => new URL(`sequences?${hasCursor ? new URLSearchParams(place) : ""}`, url).href;
    const builder = new HubConnectionBuilder()
      .withUrl(address(), { transport: HttpTransportType.WebSockets })
      .withAutomaticReconnect(Array(20).fill(100))
      .configureLogging(LogLevel.None);
    if (!hasCursor) builder.withStatefulReconnect();
    if (isBinary) builder.withHubProtocol(new MessagePackHubProtocol());
    this.hub = builder.build();
    this.hub.on("said", (by, number, cursor) => { place.cursor = cursor; this.heard(by, number); });
    this.hub.on("groupsToken", (groups, cursor) => { place = { cursor, groups }; });
    this.hub.on("missed", (from, to) => { errors.push(`${name} has missed ${from} to ${to}`); });
    this.hub.onreconnecting(() => { this.reconnecting++; this.hub.baseUrl = address(); });
    this.hub.onclose((error) => { if (!isOver) errors.push(`${name} is closed: ${error}`); });
  }

  /** Begins to count and to listen on a new connection. */
  async begin() {
    this.epoch++;
    this.number = 0;
    if (!this.hasCursor || this.epoch === 1) this.last = new Map();
    await this.hub.invoke("Join");
  }

  heard(by, number) {
    const before = this.last.get(by);
    const isFirst = number === 1 || !this.hearsAll();
    const isNext = before === undefined ? isFirst : number === before + 1;
    if (!isNext) errors.push(`${this.name}.${this.epoch} got ${number} of ${by} after ${before}`);
    this.last.set(by, number);
  }

  async count() {
    while (!isOver) {
      const { epoch } = this;
      const by = `${this.name}.${epoch}`;
      try {
        const number = this.number + 1;
        if (await this.hub.invoke("Say", by, number) !== number) errors.push(`another result than ${number}`);
        this.number = number;
        confirmed.set(by, number);
        this.calls++;
      } catch (error) {
        if (/called \d+ after/.test(error.message)) errors.push(error.message);
        await until("a new connection", () => this.hub.state === HubConnectionState.Connected);
        await this.begin();
      }
    }
  }

  /** Returns whether the client is to hear each number. Without a cursor, only its first connection has been
   * there from the first number on. */
  hearsAll() {
    return this.hasCursor || this.epoch === 1;
  }

  /** Returns whether all that others have said is here, up to their last confirmed number at least. */
  hasAll() {
    return !this.hearsAll() || [...confirmed].every(([by, number]) => (this.last.get(by) ?? 0) >= number);
  }
}

/** Waits until both servers list each other. Each request reaches the next one. */
async function both(url) {
  const count = () => fetch(new URL("servers", url)).then((answer) => answer.text());
  const counts = async () => [await count(), await count()];
  await until("two servers", async () => (await counts()).every((servers) => servers === "2"));
}

await run("signalr_sequences.mjs URL CLIENTS stateful|cursor", async (url, count, way) => {
  await both(url);
  const hasCursor = way === "cursor";
  const clients = Array.from({ length: Number(count) }, (_, n) =>
    new Client(`client${n}`, url, { isBinary: n % 2 === 1, hasCursor }));
  await Promise.all(clients.map((client) => client.hub.start()));
  await Promise.all(clients.map((client) => client.begin()));
  const counting = Promise.all(clients.map((client) => client.count()));
  for (let least = STEP; !isOver; least += STEP) {
    await until(`${least} calls`, () => isOver || clients.every(({ calls }) => calls >= least));
    if (!isOver) console.log(`all have said ${least}`);
  }
  await counting;
  await until("all messages", () => clients.every((client) => client.hasAll()))
    .catch((error) => { errors.push(error.message); });
  report({ reconnecting: clients.map(({ reconnecting }) => reconnecting), errors });
  await Promise.all(clients.map((client) => client.hub.stop()));
});
