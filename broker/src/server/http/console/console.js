// The console page. All it shows comes from commands of the broker, with the rights of the user of
// http-token. Texts of others go into the page by textContent only.

const HISTORY_SECONDS = 15 * 60;
const LINES_MAX = 500;
const CLIENTS_MAX = 500;
const SETTINGS = ["loglevel", "maxclients", "client-output-buffer-limit", "pubsub-slow-policy",
  "user-limits", "slowlog-log-slower-than", "timeout"];

const byId = (id) => document.getElementById(id);

/** Makes an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const units = ["", "k", "M", "G", "T"];

/** Writes a number in at most four characters and a unit. */
function short(number) {
  let unit = 0;
  for (; number >= 10000 && unit + 1 < units.length; unit++) number /= 1000;
  return `${Math.round(number)}${units[unit]}`;
}

// --- The broker ---

let token = sessionStorage.getItem("token") ?? "";

class BrokerError extends Error {}

/** Sends a command, and returns the response. A failure of the broker is an error with its text. */
async function send(path, words, signal) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(words), signal });
  if (response.ok) return response;
  const text = await response.text();
  let reason = text;
  try {
    reason = JSON.parse(text).error ?? text;
  } catch { /* The text is the reason. */ }
  if (response.status === 401) {
    byId("login").hidden = false;
    if (!token && reason.startsWith("NOAUTH")) {
      reason += " Set http-token for this page, as by CONFIG SET http-token \"<token> <user>\".";
    }
  }
  throw new BrokerError(reason);
}

async function command(...words) {
  return (await (await send("command", words)).json()).reply;
}

/** Shows an error at a place, or removes it. */
function trouble(place, error) {
  place.hidden = !error;
  const text = error instanceof BrokerError ? error.message : "The broker does not answer.";
  const shown = error ? text : "";
  // An unchanged text is not read aloud again.
  if (place.textContent !== shown) place.textContent = shown;
}

/** Runs a step, and shows its failure in its view until it works. Returns whether it worked. */
async function attempt(view, step) {
  const place = view === "head" ? byId("trouble") : document.querySelector(`#${view} > .trouble`);
  try {
    await step();
    trouble(place, null);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") trouble(place, error);
    return false;
  }
}

/**
 * Shows items as rows of a table. A row stays the same element while its item is there, so that it keeps
 * the focus.
 */
function showRows(body, items, key, fill) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const counts = new Map();
  items.forEach((item, at) => {
    // Names that are no text may look alike.
    const count = counts.get(key(item)) ?? 0;
    counts.set(key(item), count + 1);
    const name = `${key(item)} ${count}`;
    const row = known.get(name) ?? make("tr");
    known.delete(name);
    row.dataset.key = name;
    fill(row, item);
    if (body.children[at] !== row) {
      const focused = row.contains(document.activeElement) ? document.activeElement : null;
      body.insertBefore(row, body.children[at] ?? null);
      focused?.focus();
    }
  });
  known.forEach((row) => row.remove());
}

/** Sets the text of a cell of a row. */
function cell(row, at, text, className, title = "") {
  while (row.children.length <= at) row.append(make("td"));
  const found = row.children[at];
  if (found.textContent !== String(text)) found.textContent = text;
  found.className = className;
  found.title = title;
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  sessionStorage.setItem("token", token);
  byId("token").value = "";
  byId("login").hidden = true;
  tick();
  if (view === "settings") attempt("settings", showSettings);
});

// --- The figures at the top ---

function fields(info) {
  const lines = info.split("\r\n").filter((line) => line.includes(":"));
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(":");
    return [line.slice(0, at), line.slice(at + 1)];
  }));
}

async function showFigures() {
  const info = fields(await command("INFO", "everything"));
  byId("version").textContent = info.broker_version ?? info.redis_version;
  const figures = [
    ["Clients", info.connected_clients],
    ["Subscribers", info.pubsub_clients],
    ["Channels", info.pubsub_channels],
    ["Published", short(info.pubsub_messages_published)],
    ["Delivered", short(info.pubsub_messages_delivered)],
    ["Dropped", short(info.pubsub_messages_dropped)],
    ["Closed as slow", info.client_output_buffer_limit_disconnections],
    ["Commands/s", info.instantaneous_ops_per_sec],
    ["Memory", info.used_memory_human],
  ].filter(([, value]) => value !== undefined);
  byId("figures").replaceChildren(...figures.map(([name, value]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
}

// --- Channels ---

/** The rates of each channel, one for each second. */
const histories = new Map();

/** Draws rates up to now. A graph of less than a minute leaves room at its left. */
function graph(rates) {
  const space = "http://www.w3.org/2000/svg";
  const span = Math.max(60, rates.length);
  const svg = document.createElementNS(space, "svg");
  const top = Math.max(1, ...rates.map((rate) => rate ?? 0));
  svg.setAttribute("viewBox", `0 0 ${span} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `at most ${Math.round(top)} messages a second`);
  const path = document.createElementNS(space, "path");
  const first = span - rates.length;
  // A second without a rate leaves a gap.
  const points = rates.map((rate, at) => {
    if (rate === null) return "";
    const begins = at === 0 || rates[at - 1] === null;
    return `${begins ? "M" : "L"}${first + at} ${98 - 96 * rate / top}`;
  });
  path.setAttribute("d", points.join(""));
  svg.append(path);
  return svg;
}

async function showChannels() {
  const rows = await command("PUBSUB", "STATS", byId("channel-pattern").value || "*", "TOP", 50);
  const now = Math.floor(performance.now() / 1000);
  for (const row of rows) {
    const history = histories.get(row.channel) ?? { rates: [], second: now - 1 };
    // While a page is in the background, or the channel is not shown, its rates are unknown.
    const passed = Math.min(now - history.second, HISTORY_SECONDS);
    const isKnown = passed <= 2;
    for (let second = 1; second <= passed; second++) {
      history.rates.push(isKnown || second === passed ? row["messages-per-sec"] : null);
    }
    history.rates = history.rates.slice(-HISTORY_SECONDS);
    history.second = now;
    histories.set(row.channel, history);
  }
  for (const [channel, history] of histories) {
    if (now - history.second > HISTORY_SECONDS) histories.delete(channel);
  }
  byId("no-channels").hidden = rows.length > 0;
  showRows(byId("channel-rows"), rows, (row) => row.channel, (row, rate) => {
    cell(row, 0, rate.channel, "name", rate.channel);
    cell(row, 1, "", "");
    row.children[1].replaceChildren(graph(histories.get(rate.channel).rates));
    const names = ["messages-per-sec", "bytes-in-per-sec", "bytes-out-per-sec", "receivers", "dropped"];
    names.forEach((name, at) => cell(row, at + 2, short(rate[name] ?? 0), "number"));
  });
}

// --- Messages ---

/** The lines of the tap, the newest first, and those that wait for the end of a pause. */
let lines = [];
let held = [];
let tap = null;
let isPaused = false;

function hue(text) {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

/** Reads a line of the tap. The payload stays as the broker wrote it: numbers of JSON may be larger than ours. */
function readLine(raw) {
  const line = JSON.parse(raw);
  const begin = raw.indexOf(',"payload":') + ',"payload":'.length;
  const rest = raw.slice(begin, raw.lastIndexOf(',"lost":'));
  const payload = line.truncated ? rest.replace(/,"truncated":true$/, "") : rest;
  return { ...line, raw, text: typeof line.payload === "string" ? line.payload : payload };
}

function showLine(line) {
  const cut = line.truncated ? ", cut" : "";
  const lost = line.lost ? ` (${line.lost} lost before)` : "";
  const item = make("li", {},
    make("time", { textContent: line.time.slice(11, 23) }),
    make("b", { textContent: line.channel }),
    make("span", { className: "kind", textContent: `${line.kind}, ${line.bytes} B${cut}${lost}` }),
    line.text);
  item.style.setProperty("--hue", hue(line.channel));
  const { name, addr } = line.publisher ?? {};
  item.title = `from ${name || addr || "the broker"} to ${line.receivers}`;
  return item;
}

/** Shows lines that have arrived, in the order of their arrival. */
function addLines(added) {
  if (isPaused) {
    held = [...held, ...added].slice(-LINES_MAX);
    showPause();
    return;
  }
  if (added.length === 0) return;
  const newest = added.toReversed().slice(0, LINES_MAX);
  lines = [...newest, ...lines].slice(0, LINES_MAX);
  byId("no-lines").hidden = true;
  byId("lines").prepend(...newest.map(showLine));
  while (byId("lines").children.length > LINES_MAX) byId("lines").lastChild.remove();
}

async function runTap(pattern, signal) {
  const response = await send("stream", ["PSUBSCRIBE", `__tap__:${pattern}`], signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) throw new BrokerError("The broker has ended the tap.");
    const texts = (rest + value).split("\n");
    rest = texts.pop();
    // An empty line only shows that the connection is there.
    const messages = texts.filter(Boolean).map((text) => JSON.parse(text));
    addLines(messages.filter(([kind]) => kind === "pmessage").map(([, , , text]) => readLine(text)));
  }
}

function tapRuns(is) {
  byId("tap-start").textContent = is ? "Stop" : "Start";
  byId("tap-pause").disabled = !is;
  pause(false);
}

function pause(is) {
  isPaused = is;
  const waiting = held;
  held = [];
  if (!is) addLines(waiting);
  showPause();
}

function showPause() {
  byId("tap-pause").setAttribute("aria-pressed", isPaused);
  byId("tap-pause").textContent = isPaused ? `Go on (${held.length} waiting)` : "Pause";
}

byId("tap").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (tap) {
    tap.abort();
    return;
  }
  tap = new AbortController();
  tapRuns(true);
  await attempt("messages", () => runTap(byId("tap-pattern").value, tap.signal));
  tap = null;
  tapRuns(false);
});

byId("tap-pause").addEventListener("click", () => pause(!isPaused));
byId("tap-clear").addEventListener("click", () => {
  lines = [];
  held = [];
  showPause();
  byId("lines").replaceChildren();
  byId("no-lines").hidden = false;
});
byId("tap-wrap").addEventListener("change", (event) =>
  byId("lines").classList.toggle("wrap", event.target.checked));

function save(name, type, text) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Writes a field of CSV. A quote in front keeps spreadsheets from running it as a formula. */
function csv(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  return `"${(/^\s*[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

byId("tap-json").addEventListener("click", () =>
  save("messages.json", "application/json", `[${lines.map((line) => line.raw).join(",\n")}]\n`));
byId("tap-csv").addEventListener("click", () => {
  const columns = ["time", "channel", "kind", "bytes", "receivers", "text", "truncated", "lost"];
  const rows = lines.map((line) => columns.map((column) => csv(line[column])).join(","));
  save("messages.csv", "text/csv", [columns.join(","), ...rows, ""].join("\r\n"));
});

byId("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = byId("publish-result");
  try {
    const count = await command("PUBLISH", byId("publish-channel").value, byId("publish-message").value);
    result.textContent = `${count} ${count === 1 ? "receiver" : "receivers"}`;
  } catch (error) {
    result.textContent = error.message;
  }
});

// --- Clients ---

/** Reads CLIENT LIST. Its values have no blanks. */
function clients(list) {
  return list.trim().split("\n").filter(Boolean).map((line) =>
    Object.fromEntries(line.trim().split(" ").map((field) => {
      const at = field.indexOf("=");
      return [field.slice(0, at), field.slice(at + 1)];
    })));
}

/** Returns the subscriptions of all kinds. */
function subscriptions({ sub, psub, ssub = 0 }) {
  return Number(sub) + Number(psub) + Number(ssub);
}

async function close(client) {
  if (!confirm(`Close client ${client.id}, ${client.name || client.addr}?`)) return;
  await attempt("clients", async () => {
    await command("CLIENT", "KILL", "ID", client.id);
    await showClients();
  });
}

async function showClients() {
  const all = clients(await command("CLIENT", "LIST"));
  const order = byId("client-order").value;
  const value = (client) => order === "sub" ? subscriptions(client) : Number(client[order] ?? 0);
  all.sort((a, b) => value(b) - value(a) || a.id - b.id);
  const count = all.length > CLIENTS_MAX ? `the first ${CLIENTS_MAX} of ${all.length}` : all.length;
  byId("client-count").textContent = `${count} clients`;
  showRows(byId("client-rows"), all.slice(0, CLIENTS_MAX), (client) => client.id, (row, client) => {
    cell(row, 0, client.id, "number");
    ["name", "user", "addr"].forEach((name, at) => {
      cell(row, at + 1, client[name], "name", client[name]);
    });
    cell(row, 4, subscriptions(client), "number");
    cell(row, 5, short(client.omem), client.omem > 0 ? "number alarm" : "number");
    cell(row, 6, `${client.lag ?? 0} ms`, client.lag > 1000 ? "number alarm" : "number");
    cell(row, 7, short(client["tot-net-out"] ?? 0), "number");
    cell(row, 8, `${client.age} s`, "number");
    if (row.children.length === 9) {
      const button = make("button", { textContent: "Close" });
      button.addEventListener("click", () => close(client));
      row.append(make("td", {}, button));
    }
  });
}

byId("client-order").addEventListener("change", () => attempt("clients", showClients));

// --- Settings ---

async function showSettings() {
  // Those of another user must not stay.
  byId("setting-rows").replaceChildren();
  byId("setting-result").textContent = "";
  const values = await command("CONFIG", "GET", ...SETTINGS);
  byId("setting-rows").replaceChildren(...SETTINGS.filter((name) => name in values).map((name) => {
    const value = make("input", { value: values[name], id: `setting-${name}`, spellcheck: false });
    const label = make("label", { htmlFor: value.id }, make("code", { textContent: name }));
    // A form for each, so that Enter sets this one.
    const form = make("form", {}, label, value, make("button", { textContent: "Set" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      apply(`${name} is set`, "CONFIG", "SET", name, value.value);
    });
    return form;
  }));
}

async function apply(done, ...words) {
  const result = byId("setting-result");
  try {
    await command(...words);
    result.textContent = done;
  } catch (error) {
    result.textContent = error.message;
  }
}

byId("rewrite").addEventListener("click", () => apply("The file is written", "CONFIG", "REWRITE"));

// --- Views ---

const tabs = [...document.querySelectorAll("[role=tab]")];
let view = "channels";

function show(tab) {
  view = tab.getAttribute("aria-controls");
  for (const other of tabs) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  if (view === "settings") attempt("settings", showSettings);
  else tick();
}

tabs.forEach((tab, at) => {
  tab.tabIndex = at === 0 ? 0 : -1;
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    show(next);
  });
});

// Prevents the Enter key in a filter from loading the page again.
for (const form of document.querySelectorAll("form.bar:not([id])")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tick();
  });
}

async function tick() {
  const steps = [attempt("head", showFigures)];
  // The rates of channels are kept while another view is shown.
  steps.push(attempt("channels", showChannels));
  if (view === "clients") steps.push(attempt("clients", showClients));
  const [hasFigures] = await Promise.all(steps);
  if (hasFigures) byId("login").hidden = true;
}

async function run() {
  for (; ;) {
    // A page without a valid token asks no more.
    if (byId("login").hidden) await tick();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

run();
