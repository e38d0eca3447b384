// What the scripts for Redis clients share: steps, each with its own outcome, and what they expect.
//
// A script is called with PORT PASSWORD and what else it says. It prints one line of JSON for each
// step, then "ok"; it goes on after a step that failed, and ends with exit code 1 and all reasons on
// standard error.

import { report } from "./lib.mjs";

export { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";

const DEADLINE = 30_000;

/** What no text codec and no line-based protocol leaves alone. */
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

/** Gives what the promise gives, unless that takes too long. */
export async function soon(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within the deadline`)), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What arrived, in order, for one who waits for the next. */
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
