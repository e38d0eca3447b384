// Shared by all scripts: results as lines of JSON, and the exit code.

/** Prints one result. */
export function report(result) {
  console.log(JSON.stringify(result));
}

/** Waits for the condition. If it is still false at the deadline, fails with its description. */
export async function until(subject, condition, deadline = 60_000) {
  const end = Date.now() + deadline;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${subject}: not within ${deadline / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs a script with its arguments. A failure is printed on standard error and gives exit code 1. */
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
