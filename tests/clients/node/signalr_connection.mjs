// Goes through the behaviours of connections without a hub protocol, with ASP.NET Core's JavaScript client.
//
// usage: node signalr_connection.mjs URL
// Prints one line of JSON for each step, then "ok". Ends with exit code 1 if a step has failed.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { HttpTransportType, TransferFormat } from "@microsoft/signalr";
import { equal } from "./expect.mjs";
import { goThrough, promise } from "./signalr_steps.mjs";

const [url] = process.argv.slice(2);
// The package does not export it.
const main = fileURLToPath(import.meta.resolve("@microsoft/signalr"));
const package_ = main.slice(0, main.lastIndexOf("/dist/"));
const { HttpConnection } = createRequire(import.meta.url)(`${package_}/dist/cjs/HttpConnection.js`);

const TEXT = "Hello World!";
const BYTES = Uint8Array.of(0, 0xff, 0x1e);

const steps = {
  "a client without a choice of the transport gets its text back": () => echo(undefined, TEXT),
};
for (const transport of ["WebSockets", "ServerSentEvents", "LongPolling"]) {
  Object.assign(steps, {
    [`${transport}: text comes back`]: () => echo(transport, TEXT),
    [`${transport}: the log has no content by default`]: async () => {
      const log = await echo(transport, TEXT, { logMessageContent: false });
      equal(log.filter((line) => line.includes(TEXT)).length, 0);
    },
    [`${transport}: the log has the content that was sent and received`]: async () => {
      const log = await echo(transport, TEXT, { logMessageContent: true });
      equal(log.filter((line) => line.includes(TEXT)).length, 2);
    },
  });
  if (transport === "ServerSentEvents") continue;
  steps[`${transport}: bytes come back`] = () => echo(transport, BYTES.buffer);
}
await goThrough(steps);

/** Sends a message, waits until it comes back, and stops without an error. Returns the lines of the log. */
async function echo(transport, message, options = {}) {
  const log = [];
  const connection = new HttpConnection(`${url}/echo`, {
    transport: HttpTransportType[transport],
    logger: { log(_, line) { log.push(line); } },
    ...options,
  });
  const [received, closed] = [promise(), promise()];
  connection.onreceive = received.resolve;
  connection.onclose = closed.resolve;
  await connection.start(typeof message === "string" ? TransferFormat.Text : TransferFormat.Binary);
  await connection.send(message);
  equal(plain(await received), plain(message));
  await connection.stop();
  equal(await closed, undefined);
  return log;
}

function plain(message) {
  return typeof message === "string" ? message : [...new Uint8Array(message)];
}
