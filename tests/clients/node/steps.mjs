// Shared by the scripts for Redis clients: steps, each with its own outcome, and assertions.
//
// The arguments of a script are PORT PASSWORD and its own ones. It prints one line of JSON for each
// step, then "ok". After a failed step it goes on, prints all reasons on standard error, and ends with
// exit code 1.

import { report } from "./lib.mjs";

export { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";

const DEADLINE = 30_000;

/** A payload that text codecs and line-based protocols would change. */
export const BINARY = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from("\r\n$5\r\nhello\r\n"),
]);

/** Runs the steps of an object: `"claim": async (server, ...more) => …`. */
export async function runSteps(usage, steps) {
  const [port, password, ...more] = process.argv.slice(2);
  if (2 + more.length !== usage.split(" ").length - 1) {
    console.error(`usage: node ${usage}`);
    process.exit(1);
  }
  const server = { host: "127.0.0.1", port: Number(port), password };
  server.url = `redis://:${password}@${server.host}:${port}`;
  const failed = [];
  for (const [step, body] of Object.entries(steps)) {
    try {
      await soon(step, body(server, ...more));
      report({ step });
    } catch (error) {
      report({ step, failed: true });
      console.error(`${step}: ${error.stack ?? error}`);
      failed.push(step);
    }
  }
  if (failed.length) {
    console.error(`${usage}: failed: ${failed.join(", ")}`);
    process.exit(1);
  }
  console.log("ok");
  process.exit(0);
}

/** Returns the result of the promise, and fails if it is not there within the deadline. */
export async function soon(subject, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${subject}: not within the deadline`)), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Received items in order, for one reader that waits for the next. */
export class Inbox {
  #items = [];
  #waiting = [];

  push = (item) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  };

  async next() {
    if (this.#items.length) return this.#items.shift();
    return soon("next message", new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async take(count) {
    const taken = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }
}

/** 0, 1, … as texts. */
export function numbers(count) {
  return Array.from({ length: count }, (_, number) => String(number));
}
