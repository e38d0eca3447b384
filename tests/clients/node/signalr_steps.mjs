// Shared by the scripts for SignalR clients: steps, each with its own outcome.

const DEADLINE = 30_000;

/**
 * Runs the steps of an object: `"claim": async () => …`, prints their outcomes, and ends the process.
 * After a failed step it goes on.
 */
export async function goThrough(steps) {
  let passed = true;
  await eachOutcome(steps, (outcome) => { passed = print(outcome) && passed; });
  end(passed);
}

/** Runs the steps of an object, and passes the outcome of each to `report`: its error is text. */
export async function eachOutcome(steps, report) {
  for (const [step, body] of Object.entries(steps)) {
    const error = await within(body()).then(() => undefined, (error) => `${error}\n${error.stack}`);
    report({ step, passed: error === undefined, error });
  }
}

/** Prints an outcome, and returns whether it is no failure. */
export function print({ error, ...outcome }) {
  console.log(JSON.stringify(outcome));
  if (error !== undefined) console.error(`${outcome.step}: ${error}`);
  return error === undefined;
}

/** Ends the process, with "ok" if all steps have passed. */
export function end(passed) {
  if (passed) console.log("ok");
  process.exit(passed ? 0 : 1);
}

/** Makes a promise with its two ends. */
export function promise() {
  let ends;
  const made = new Promise((resolve, reject) => { ends = { resolve, reject }; });
  return Object.assign(made, ends);
}

async function within(running) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${DEADLINE / 1000} s`)), DEADLINE);
  });
  try {
    await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}
