// What the scripts share: results as lines of JSON, and an end with a reason.

/** Prints one result. */
export function report(result) {
  console.log(JSON.stringify(result));
}

/** Waits for the condition, and fails with its description when it does not come true in time. */
export async function until(what, condition, deadline = 60_000) {
  const end = Date.now() + deadline;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${deadline / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs a script: its arguments in, exit code 1 and the reason on standard error at a failure. */
export async function run(usage, main) {
  const args = process.argv.slice(2);
  try {
    await main(...args);
    process.exit(0);
  } catch (error) {
    console.error(args.length ? `${usage}: ${error.stack ?? error}` : `usage: node ${usage}`);
    process.exit(1);
  }
}
