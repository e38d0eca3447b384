// Shared by the scripts for SignalR clients: steps, each with its own outcome.

const DEADLINE = 30_000;

/**
 * Runs the steps of an object: `"claim": async () => …`. A step with a `feature` that the server lacks
 * is skipped. After a failed step it goes on.
 */
export async function goThrough(lacking, steps) {
  const failed = [];
  for (const [step, body] of Object.entries(steps)) {
    if (lacking.includes(body.feature)) {
      console.log(JSON.stringify({ step, skipped: body.feature }));
      continue;
    }
    try {
      await within(body());
      console.log(JSON.stringify({ step, passed: true }));
    } catch (error) {
      failed.push(step);
      console.log(JSON.stringify({ step, passed: false }));
      console.error(`${step}: ${error.stack ?? error}`);
    }
  }
  if (failed.length === 0) console.log("ok");
  process.exit(failed.length === 0 ? 0 : 1);
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
