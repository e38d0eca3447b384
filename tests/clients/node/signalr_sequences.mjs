// Unmodified SignalR clients with the stateful reconnect count aloud, and listen to each other, while
// their connections break.
//
// usage: node signalr_sequences.mjs URL CLIENTS
// prints "all have said N" for every 25 calls of each client
// After SIGTERM, prints {"reconnecting": [events of each client], "errors": [found in the end]}
//
// A client counts within its connection: the server expects each number after the one before, once. If the
// connection cannot go on, the client counts from 1 again, under another name.

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

  constructor(name, url, isBinary) {
    this.name = name;
    const builder = new HubConnectionBuilder()
      .withUrl(new URL("sequences", url).href, { transport: HttpTransportType.WebSockets })
      .withStatefulReconnect()
      .withAutomaticReconnect(Array(20).fill(100))
      .configureLogging(LogLevel.None);
    if (isBinary) builder.withHubProtocol(new MessagePackHubProtocol());
    this.hub = builder.build();
    this.hub.on("said", (by, number) => { this.heard(by, number); });
    this.hub.onreconnecting(() => { this.reconnecting++; });
    this.hub.onclose((error) => { if (!isOver) errors.push(`${name} is closed: ${error}`); });
  }

  /** Begins to count and to listen on a new connection. */
  async begin() {
    this.epoch++;
    this.number = 0;
    this.last = new Map();
    await this.hub.invoke("Join");
  }

  heard(by, number) {
    const before = this.last.get(by);
    // Only the first connections have been there from the first number on.
    const isNext = before === undefined ? number === 1 || this.epoch > 1 : number === before + 1;
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

  /** Returns whether all that others have said is here, up to their last confirmed number at least. */
  hasAll() {
    return this.epoch > 1 || [...confirmed].every(([by, number]) => (this.last.get(by) ?? 0) >= number);
  }
}

/** Waits until both servers list each other. Each request reaches the next one. */
async function both(url) {
  const count = () => fetch(new URL("servers", url)).then((answer) => answer.text());
  const counts = async () => [await count(), await count()];
  await until("two servers", async () => (await counts()).every((servers) => servers === "2"));
}

await run("signalr_sequences.mjs URL CLIENTS", async (url, count) => {
  await both(url);
  const clients = Array.from({ length: Number(count) }, (_, n) => new Client(`client${n}`, url, n % 2 === 1));
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
