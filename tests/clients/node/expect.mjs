// Assertions for scripts that run in Node.js and in a browser.

/** Fails unless both are the same value: the same primitive, or equal part by part. */
export function equal(found, expected) {
  if (!isEqual(found, expected)) throw new Error(`expected ${shown(expected)}, found ${shown(found)}`);
}

/** Fails if both are the same value. */
export function notEqual(found, unexpected) {
  if (isEqual(found, unexpected)) throw new Error(`did not expect ${shown(unexpected)}`);
}

/** Awaits a failure with this `{ message }`, or with text that matches this RegExp. */
export async function rejects(running, expected) {
  const { value, error } = await running.then((value) => ({ value }), (error) => ({ error }));
  if (error === undefined) throw new Error(`expected a failure, found ${shown(value)}`);
  if (!(expected instanceof RegExp)) equal(error.message, expected.message);
  else if (!expected.test(String(error))) throw new Error(`expected ${expected}, found ${error}`);
}

function isEqual(a, b) {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  const keys = Object.keys(a);
  return Array.isArray(a) === Array.isArray(b)
    && keys.length === Object.keys(b).length
    && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}

function shown(value) {
  return value instanceof Error ? String(value) : JSON.stringify(value);
}
