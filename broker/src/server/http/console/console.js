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
  for (; Math.abs(number) >= 10000 && unit + 1 < units.length; unit++) number /= 1000;
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

function trouble(error) {
  byId("trouble").hidden = !error;
  byId("trouble").textContent = error
    ? error instanceof BrokerError ? error.message : "The broker does not answer."
    : "";
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  sessionStorage.setItem("token", token);
  byId("token").value = "";
  byId("login").hidden = true;
  tick();
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
  const top = Math.max(1, ...rates);
  svg.setAttribute("viewBox", `0 0 ${span} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `at most ${Math.round(top)} messages a second`);
  const path = document.createElementNS(space, "path");
  const first = span - rates.length;
  const points = rates.map((rate, at) => `${first + at} ${98 - 96 * rate / top}`);
  path.setAttribute("d", `M${points.join("L")}`);
  svg.append(path);
  return svg;
}

async function showChannels() {
  const rows = await command("PUBSUB", "STATS", byId("channel-pattern").value || "*", "TOP", 50);
  const now = Math.floor(performance.now() / 1000);
  for (const row of rows) {
    const history = histories.get(row.channel) ?? { rates: [], second: now - 1 };
    // A page in the background is asked less often.
    const missed = Math.min(now - history.second, HISTORY_SECONDS);
    for (let second = 0; second < missed; second++) history.rates.push(row["messages-per-sec"]);
    history.rates = history.rates.slice(-HISTORY_SECONDS);
    history.second = now;
    histories.set(row.channel, history);
  }
  for (const [channel, history] of histories) {
    if (now - history.second > HISTORY_SECONDS) histories.delete(channel);
  }
  byId("no-channels").hidden = rows.length > 0;
  byId("channel-rows").replaceChildren(...rows.map((row) => {
    const number = (name) => make("td", { className: "number", textContent: short(row[name] ?? 0) });
    const channel = make("td", { className: "name", textContent: row.channel, title: row.channel });
    const graphed = make("td", {}, graph(histories.get(row.channel).rates));
    return make("tr", {}, channel, graphed, number("messages-per-sec"), number("bytes-in-per-sec"),
      number("bytes-out-per-sec"), number("receivers"), number("dropped"));
  }));
}

// --- Messages ---

/** The lines of the tap, the newest first. */
let lines = [];
let tap = null;
let isPaused = false;

function hue(text) {
  let hash = 0;
  for (const character of text) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function showLine(line) {
  const text = typeof line.payload === "string" ? line.payload : JSON.stringify(line.payload);
  const lost = line.lost ? ` (${line.lost} lost before)` : "";
  const item = make("li", {},
    make("time", { textContent: line.time.slice(11, 23) }),
    make("b", { textContent: line.channel }),
    make("span", { className: "kind", textContent: `${line.kind}, ${line.bytes} B${lost}` }),
    text);
  item.style.setProperty("--hue", hue(line.channel));
  const { name, addr } = line.publisher ?? {};
  item.title = `from ${name || addr || "the broker"} to ${line.receivers}`;
  return item;
}

function addLines(added) {
  if (isPaused || added.length === 0) return;
  lines = [...added.reverse(), ...lines].slice(0, LINES_MAX);
  byId("no-lines").hidden = true;
  byId("lines").prepend(...added.slice(0, LINES_MAX).map(showLine));
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
    const messages = texts.map((text) => JSON.parse(text)).filter(([kind]) => kind === "pmessage");
    addLines(messages.map(([, , , text]) => JSON.parse(text)));
  }
}

function tapRuns(is) {
  byId("tap-start").textContent = is ? "Stop" : "Start";
  byId("tap-pause").disabled = !is;
  pause(false);
}

function pause(is) {
  isPaused = is;
  byId("tap-pause").setAttribute("aria-pressed", is);
  byId("tap-pause").textContent = is ? "Go on" : "Pause";
}

byId("tap").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (tap) {
    tap.abort();
    return;
  }
  tap = new AbortController();
  tapRuns(true);
  try {
    await runTap(byId("tap-pattern").value, tap.signal);
  } catch (error) {
    if (error.name !== "AbortError") trouble(error);
  }
  tap = null;
  tapRuns(false);
});

byId("tap-pause").addEventListener("click", () => pause(!isPaused));
byId("tap-clear").addEventListener("click", () => {
  lines = [];
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
  const text = typeof value === "string" ? value : JSON.stringify(value ?? "");
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

byId("tap-json").addEventListener("click", () =>
  save("messages.json", "application/json", JSON.stringify(lines, null, 1)));
byId("tap-csv").addEventListener("click", () => {
  const columns = ["time", "channel", "kind", "bytes", "receivers", "payload"];
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

async function close(client) {
  if (!confirm(`Close client ${client.id}, ${client.name || client.addr}?`)) return;
  try {
    await command("CLIENT", "KILL", "ID", client.id);
    await showClients();
  } catch (error) {
    trouble(error);
  }
}

async function showClients() {
  const all = clients(await command("CLIENT", "LIST"));
  const order = byId("client-order").value;
  all.sort((a, b) => b[order] - a[order] || a.id - b.id);
  const count = all.length > CLIENTS_MAX ? `the first ${CLIENTS_MAX} of ${all.length}` : all.length;
  byId("client-count").textContent = `${count} clients`;
  byId("client-rows").replaceChildren(...all.slice(0, CLIENTS_MAX).map((client) => {
    const number = (text, isBad) =>
      make("td", { className: isBad ? "number alarm" : "number", textContent: text });
    const text = (value) => make("td", { className: "name", textContent: value, title: value });
    const subscriptions = Number(client.sub) + Number(client.psub) + Number(client.ssub ?? 0);
    const button = make("button", { textContent: "Close" });
    button.addEventListener("click", () => close(client));
    return make("tr", {}, number(client.id), text(client.name), text(client.user), text(client.addr),
      number(subscriptions), number(short(client.omem), client.omem > 0),
      number(`${client.lag ?? 0} ms`, client.lag > 1000), number(short(client["tot-net-out"] ?? 0)),
      number(`${client.age} s`), make("td", {}, button));
  }));
}

byId("client-order").addEventListener("change", () => showClients().catch(trouble));

// --- Settings ---

async function showSettings() {
  const values = await command("CONFIG", "GET", ...SETTINGS);
  byId("setting-rows").replaceChildren(...SETTINGS.filter((name) => name in values).map((name) => {
    const value = make("input", { value: values[name], name, spellcheck: false });
    const button = make("button", { textContent: "Set" });
    button.addEventListener("click", (event) => {
      event.preventDefault();
      apply(`${name} is set`, "CONFIG", "SET", name, value.value);
    });
    return make("label", {}, make("code", { textContent: name }), value, button);
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

byId("setting-rows").addEventListener("submit", (event) => event.preventDefault());
byId("rewrite").addEventListener("click", () => apply("The file is written", "CONFIG", "REWRITE"));

// --- Views ---

const views = { channels: showChannels, messages: () => {}, clients: showClients, settings: () => {} };
let view = "channels";

for (const button of document.querySelectorAll("[role=tab]")) {
  button.addEventListener("click", () => {
    view = button.getAttribute("aria-controls");
    for (const tab of document.querySelectorAll("[role=tab]")) {
      tab.setAttribute("aria-selected", tab === button);
    }
    for (const name of Object.keys(views)) byId(name).hidden = name !== view;
    (view === "settings" ? showSettings() : tick()).catch(trouble);
  });
}

/** Prevents the Enter key in a filter from loading the page again. */
for (const form of document.querySelectorAll("form.bar:not([id])")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tick();
  });
}

async function tick() {
  try {
    // The rates of channels are kept while another view is shown.
    await Promise.all([showFigures(), showChannels(), view === "clients" ? showClients() : null]);
    trouble(null);
    byId("login").hidden = true;
  } catch (error) {
    trouble(error);
  }
}

async function run() {
  for (; ;) {
    // A page without a valid token asks no more.
    if (byId("login").hidden) await tick();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

run();
