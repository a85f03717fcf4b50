// -- the trace, and where its times are on the screen ------------------------------------------------

const trace = JSON.parse(document.getElementById("trace").textContent);
const records = trace.records;
const $ = (id) => document.getElementById(id);
const ENTER = records.length ? records[0].at : 0;
const LEAVE = records.length ? Math.max(records[records.length - 1].at, ENTER + 0.001) : 1;

const BAD = new Set(["link lost", "not connected", "not joined", "lost", "attempt failed", "given up", "ended",
  "negotiation failed", "handler failed", "data undelivered", "data missed", "path dead", "track subscription failed"]);
const WARN = new Set(["reconnecting", "attempt", "attempt cancelled", "waiting", "gate closed", "answer too late"]);
const GOOD = new Set(["recovered", "connected", "reconnected", "path alive", "link open", "signalling is back"]);

function toneOf(record) {
  const { state, succeeded, kind } = record.fields;
  if (succeeded !== undefined) return succeeded ? "good" : "bad";
  if (BAD.has(record.what) || state === "failed" || (record.lane === "peers" && state === "disconnected")) return "bad";
  if (WARN.has(record.what) || state === "reconnecting" || kind === "leave") return "warn";
  if (GOOD.has(record.what) || state === "connected") return "good";
  return "";
}

// What a record is called where there is room for a word or two.
function nameOf(record) {
  const { kind, state, mode, peer, channel, attempt } = record.fields;
  switch (record.what) {
    case "sent": case "received": return kind;
    case "peer": return `${peer} ${state}`;
    case "ice": case "dtls": case "gathering": return `${record.what} ${state}`;
    case "channel": return `${channel} ${state}`;
    case "attempt": return `${mode} ${attempt}`;
    case "connection state changed": return state;
    default: return record.what;
  }
}

function textOf(value) {
  return Array.isArray(value) ? value.join(", ") : String(value);
}

for (const [index, record] of records.entries()) {
  record.index = index;
  record.tone = toneOf(record);
  record.name = nameOf(record);
  const fields = Object.entries(record.fields).map(([name, value]) => `${name} ${textOf(value)}`);
  record.text = [record.lane, record.what, `session ${record.epoch}`, ...fields].join(" ").toLowerCase();
  record.match = true;
}

// Quiet times may be shortened: what is longer than `QUIET` grows only with its logarithm. `bend` goes from seconds to
// such bent seconds, `unbend` back; in between the knots both are straight.
const QUIET = Math.max(0.05, (LEAVE - ENTER) / 200);
const knots = { at: [ENTER], bent: [0] };
for (const record of records) {
  const last = knots.at.length - 1, gap = record.at - knots.at[last];
  if (gap <= 0) continue;
  knots.at.push(record.at);
  knots.bent.push(knots.bent[last] + (gap <= QUIET ? gap : QUIET * (1 + Math.log(gap / QUIET))));
}
let shorten = false;

function between(value, from, to) {
  let low = 0, high = from.length - 1;
  if (value <= from[0]) return to[0] + (value - from[0]);
  if (value >= from[high]) return to[high] + (value - from[high]);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (from[middle] <= value) low = middle; else high = middle;
  }
  return to[low] + (to[high] - to[low]) * (value - from[low]) / (from[high] - from[low]);
}
const bend = (at) => shorten ? between(at, knots.at, knots.bent) : at - ENTER;
const unbend = (bent) => shorten ? between(bent, knots.bent, knots.at) : bent + ENTER;

function clock(at, step = 0.001) {
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : step >= 0.001 ? 3 : 4;
  if (at < 60) return `${at.toFixed(digits)} s`;
  const hours = Math.floor(at / 3600), minutes = Math.floor(at / 60) % 60, seconds = (at % 60).toFixed(digits);
  const padded = seconds.padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
}

function span(seconds) {
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return seconds < 60 ? `${seconds.toFixed(2)} s` : clock(seconds, 1);
}
