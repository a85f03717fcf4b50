// -- the time line ----------------------------------------------------------------------------------

const line = $("line"), map = $("map"), tip = $("tip");
const LABELS = 104, AXIS = 26, BAND = 20, SLOT = 17, FEW = 3, MANY = 6, PAD = 8, MAP = 34;
const slots = Object.fromEntries(trace.lanes.map((lane) => [lane, FEW]));
const shown = new Set(trace.lanes);
const view = { from: 0, to: 1 };  // bent seconds
let chosen = null, hovered = null, spots = [];

const full = () => [bend(ENTER), bend(LEAVE)];

function fit() {
  const [from, to] = full(), size = to - from;
  view.from = from - size * 0.02;
  view.to = to + size * 0.09;  // room for the words behind the last record
}

function show(fromAt, toAt) {
  const from = bend(fromAt), to = bend(toAt), margin = Math.max((to - from) * 0.15, 0.002);
  view.from = from - margin;
  view.to = to + margin;
  draw();
}

function zoom(factor, x) {
  const width = line.clientWidth - LABELS, share = Math.min(1, Math.max(0, (x - LABELS) / width));
  const [from, to] = full(), pivot = view.from + share * (view.to - view.from);
  const size = Math.min((to - from) * 1.3, Math.max(0.0005, (view.to - view.from) * factor));
  view.from = pivot - share * size;
  view.to = view.from + size;
  keepInside();
}

function keepInside() {
  const [from, to] = full(), size = view.to - view.from, room = size * 0.5;
  if (view.from < from - room) view.from = from - room;
  if (view.from > to - room) view.from = to - room;
  view.to = view.from + size;
  draw();
}

// What lasts: states of the connection, sessions, attempts.
function spansOf() {
  const states = [], sessions = [], attempts = [];
  let state = null, session = null, attempt = null;
  const close = (open, at, list) => { if (open) { open.to = at; list.push(open); } };
  for (const record of records) {
    const { what, at, fields } = record;
    if (what === "connection state changed") {
      close(state, at, states);
      state = { from: at, name: fields.state, tone: { connected: "good", reconnecting: "warn" }[fields.state] || "none" };
    } else if (what === "session") {
      close(session, at, sessions);
      session = { from: at, name: `session ${record.epoch}`, tone: sessions.length % 2 ? "odd" : "even" };
    } else if (record.lane === "engine" && what === "attempt") {
      close(attempt, at, attempts);
      attempt = { from: at, name: `${fields.mode} ${fields.attempt}`, tone: "warn" };
    } else if (attempt && ["attempt failed", "attempt cancelled", "given up", "recovered"].includes(what)) {
      attempt.tone = what === "recovered" ? "good" : "bad";
      close(attempt, at, attempts);
      attempt = null;
    }
  }
  close(state, LEAVE, states); close(session, LEAVE, sessions); close(attempt, LEAVE, attempts);
  return { states, sessions, attempts };
}
const lasting = spansOf();
const BANDS = [["connection", lasting.states], ["attempts", lasting.attempts], ["sessions", lasting.sessions]]
  .filter(([, spans]) => spans.length);

function pen(canvas, height) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  c.textBaseline = "middle";
  return { c, width, colour, font: (weight, size) => { c.font = `${weight} ${size}px system-ui, sans-serif`; } };
}

function draw() {
  const lanes = trace.lanes.filter((lane) => shown.has(lane));
  const tops = [AXIS + BANDS.length * (BAND + 4) + 4];
  for (const lane of lanes) tops.push(tops.at(-1) + slots[lane] * SLOT + PAD * 2);
  const height = tops.at(-1) + 4;
  const { c, width, colour, font } = pen(line, height);
  const scale = (width - LABELS) / (view.to - view.from);
  const x = (at) => LABELS + (bend(at) - view.from) * scale;
  drawAxis(c, colour, font, width, height, x);
  c.save();
  c.beginPath();
  c.rect(LABELS, 0, width - LABELS, height);
  c.clip();
  for (const [row, [, spans]] of BANDS.entries()) drawBand(c, colour, font, spans, AXIS + row * (BAND + 4), x, width);
  spots = [];
  for (const [row, lane] of lanes.entries()) drawLane(c, colour, font, lane, tops[row], x, width);
  if (chosen) {
    c.strokeStyle = colour("accent");
    c.setLineDash([3, 3]);
    c.beginPath(); c.moveTo(x(chosen.at), AXIS); c.lineTo(x(chosen.at), height); c.stroke();
    c.setLineDash([]);
  }
  c.restore();
  c.fillStyle = colour("soft");
  font(500, 12);
  c.textAlign = "left";
  for (const [row, [name]] of BANDS.entries()) c.fillText(name, 12, AXIS + row * (BAND + 4) + BAND / 2);
  for (const [row, lane] of lanes.entries()) {
    const y = tops[row];
    c.fillStyle = colour(lane);
    font(600, 13);
    c.fillText(lane, 12, (y + tops[row + 1]) / 2);
    c.strokeStyle = colour("rule");
    c.beginPath(); c.moveTo(0, y + 0.5); c.lineTo(width, y + 0.5); c.stroke();
  }
  drawMap();
}

function drawAxis(c, colour, font, width, height, x) {
  // Ticks are chosen by time, then thinned by place: with shortened quiet times they are not evenly spaced.
  const wanted = Math.max(2, (width - LABELS) / 130), seconds = unbend(view.to) - unbend(view.from);
  const raw = Math.max(seconds / wanted, 1e-4), power = 10 ** Math.floor(Math.log10(raw));
  let step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= raw);
  if (shorten) step = Math.min(step, Math.max(1e-3, (view.to - view.from) / wanted));
  c.textAlign = "center";
  font(400, 11);
  let last = -Infinity;
  const at = [];
  if (shorten) {
    for (let px = LABELS + 40; px < width; px += 130) at.push(unbend(view.from + (px - LABELS) / (width - LABELS) * (view.to - view.from)));
  } else {
    for (let t = Math.ceil(unbend(view.from) / step) * step; t <= unbend(view.to); t += step) at.push(t);
  }
  for (const t of at) {
    const px = x(t);
    if (t < ENTER - step || px - last < 70 || px < LABELS) continue;
    last = px;
    c.strokeStyle = colour("rule");
    c.beginPath(); c.moveTo(Math.round(px) + 0.5, AXIS - 5); c.lineTo(Math.round(px) + 0.5, height); c.stroke();
    c.fillStyle = colour("soft");
    c.fillText(clock(Math.max(0, t), step), px, 11);
  }
}

function drawBand(c, colour, font, spans, y, x, width) {
  c.textAlign = "left";
  font(500, 11);
  for (const each of spans) {
    const from = Math.max(LABELS - 4, x(each.from)), to = Math.min(width + 4, x(each.to));
    if (to < LABELS || from > width) continue;
    const size = Math.max(3, to - from - 1);
    c.fillStyle = each.tone === "odd" ? colour("rule") : colour(`${each.tone === "even" ? "none" : each.tone}-band`);
    c.beginPath(); c.roundRect(from, y, size, BAND, 4); c.fill();
    const word = each.name, room = size - 12;
    if (c.measureText(word).width <= room) {
      c.fillStyle = colour("ink");
      c.fillText(word, Math.max(from, LABELS) + 6, y + BAND / 2 + 0.5);
    }
  }
}

// Which record has which row of its lane, so that points and words keep clear of each other where that can be.
function arrange(c, lane, count, x, width) {
  const tails = new Array(count).fill(-Infinity), marks = [];
  for (const record of records) {
    if (record.lane !== lane) continue;
    const px = x(record.at);
    if (px < LABELS - 10) continue;
    if (px > width + 10) break;
    // The first row that is free; if none is, the one that has been so for longest.
    let slot = tails.findIndex((tail) => px - tail >= 4);
    const crowded = slot < 0;
    if (crowded) slot = tails.indexOf(Math.min(...tails));
    const label = record.name, size = c.measureText(label).width + 16;
    marks.push({ record, px, label, size, slot });
    // A word is kept free if what follows has another row to go to.
    tails[slot] = crowded ? Math.max(tails[slot], px + 9) : px + Math.min(size, 150);
  }
  return marks;
}

function drawLane(c, colour, font, lane, top, x, width) {
  font(400, 12);
  c.textAlign = "left";
  const marks = arrange(c, lane, slots[lane], x, width);
  for (const mark of marks) {
    const { record, px } = mark, tone = record.tone || lane;
    const y = mark.y = top + PAD + mark.slot * SLOT + SLOT / 2;
    c.globalAlpha = record.match ? 1 : 0.16;
    c.fillStyle = colour(tone);
    shape(c, record, px, y);
    if (record === chosen || record === hovered) {
      c.strokeStyle = colour("accent");
      c.lineWidth = 2;
      c.beginPath(); c.arc(px, y, 8, 0, 7); c.stroke();
      c.lineWidth = 1;
    }
    spots.push({ record, px, y });
  }
  // Words last, each only where nothing else is in its way.
  const next = new Array(MANY).fill(Infinity);
  for (const { record, px, y, label, size, slot } of marks.reverse()) {
    if (px + size <= next[slot]) {
      c.globalAlpha = record.match ? 1 : 0.25;
      c.fillStyle = record.tone ? colour(record.tone) : colour("ink");
      c.fillText(label, px + 9, y + 0.5);
    }
    next[slot] = px - 6;
  }
  c.globalAlpha = 1;
}

// A lane is as high as the whole of the trace needs it, and stays so.
function measure() {
  const c = line.getContext("2d"), scale = (line.clientWidth - LABELS) / (view.to - view.from);
  c.font = "400 12px system-ui, sans-serif";
  const x = (at) => LABELS + (bend(at) - view.from) * scale;
  for (const lane of trace.lanes) {
    const used = arrange(c, lane, MANY, x, line.clientWidth).map((mark) => mark.slot + 1);
    slots[lane] = Math.max(FEW, ...used);
  }
}

// Messages point the way they go; what went wrong is a square.
function shape(c, record, px, y) {
  c.beginPath();
  if (record.what === "sent") { c.moveTo(px, y - 5); c.lineTo(px + 5, y + 4); c.lineTo(px - 5, y + 4); }
  else if (record.what === "received") { c.moveTo(px, y + 5); c.lineTo(px + 5, y - 4); c.lineTo(px - 5, y - 4); }
  else if (record.tone === "bad") c.rect(px - 4.5, y - 4.5, 9, 9);
  else c.arc(px, y, 4.5, 0, 7);
  c.fill();
}

function drawMap() {
  const { c, width, colour } = pen(map, MAP);
  const [from, to] = full(), scale = (width - 24) / (to - from), x = (bent) => 12 + (bent - from) * scale;
  const bars = new Map();
  for (const record of records) {
    if (!shown.has(record.lane) || !record.match) continue;
    const column = Math.floor(x(bend(record.at)) / 3) * 3, bar = bars.get(column) || { count: 0, tone: "" };
    bar.count += 1;
    if (record.tone === "bad" || (record.tone === "warn" && bar.tone !== "bad")) bar.tone = record.tone;
    bars.set(column, bar);
  }
  for (const [column, bar] of bars) {
    const tall = Math.min(MAP - 8, 3 + 5 * Math.log2(1 + bar.count));
    c.fillStyle = colour(bar.tone || "soft");
    c.fillRect(column, MAP - 4 - tall, 2, tall);
  }
  const left = Math.max(1, x(view.from)), right = Math.min(width - 1, x(view.to));
  c.fillStyle = colour("accent");
  c.globalAlpha = 0.13;
  c.fillRect(left, 1, Math.max(4, right - left), MAP - 2);
  c.globalAlpha = 1;
  c.strokeStyle = colour("accent");
  c.strokeRect(left + 0.5, 1.5, Math.max(4, right - left) - 1, MAP - 3);
}

// -- pointing ---------------------------------------------------------------------------------------

function spotAt(event) {
  const box = line.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  let best = null, near = 121;
  for (const spot of spots) {
    const distance = (spot.px - px) ** 2 + (spot.y - py) ** 2;
    if (distance < near) [best, near] = [spot, distance];
  }
  return best;
}

function showTip(record, event) {
  tip.replaceChildren();
  const head = document.createElement("h2"), when = document.createElement("p"), list = document.createElement("dl");
  head.textContent = record.fields.kind && record.what !== record.fields.kind ? `${record.what}: ${record.fields.kind}` : record.what;
  const wall = new Date(record.wall * 1000).toISOString().slice(11, 23);
  when.textContent = `${clock(record.at)} · ${wall} UTC · ${record.lane}${record.epoch ? `, session ${record.epoch}` : ""}`;
  for (const [name, value] of Object.entries(record.fields)) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name.replaceAll("_", " ");
    dd.textContent = textOf(value);
    list.append(dt, dd);
  }
  tip.append(head, when, list);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
  const below = event.clientY + 16 + box.height < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? event.clientY + 16 : Math.max(8, event.clientY - box.height - 12)}px`;
}

let drag = null;
line.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, from: view.from, moved: false };
  line.setPointerCapture(event.pointerId);
});
line.addEventListener("pointermove", (event) => {
  if (drag) {
    const moved = event.clientX - drag.x;
    if (Math.abs(moved) > 3) drag.moved = true;
    if (drag.moved) {
      const size = view.to - view.from;
      view.from = drag.from - moved / (line.clientWidth - LABELS) * size;
      view.to = view.from + size;
      line.classList.add("drag");
      tip.hidden = true;
      keepInside();
    }
    return;
  }
  const spot = spotAt(event), record = spot ? spot.record : null;
  line.classList.toggle("hit", record !== null);
  if (record) showTip(record, event); else tip.hidden = true;
  if (record !== hovered) { hovered = record; draw(); }
});
line.addEventListener("pointerup", (event) => {
  const spot = drag && !drag.moved ? spotAt(event) : null;
  drag = null;
  line.classList.remove("drag");
  if (spot) choose(spot.record, true);
});
line.addEventListener("pointerleave", () => { tip.hidden = true; if (hovered) { hovered = null; draw(); } });
line.addEventListener("dblclick", () => { fit(); draw(); });
line.addEventListener("wheel", (event) => {
  event.preventDefault();
  tip.hidden = true;
  const box = line.getBoundingClientRect();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = event.deltaX / (line.clientWidth - LABELS) * (view.to - view.from);
    view.from += by;
    view.to += by;
    keepInside();
  } else zoom(1.0015 ** event.deltaY, event.clientX - box.left);
}, { passive: false });

function lookAt(event) {
  const box = map.getBoundingClientRect(), [from, to] = full(), size = view.to - view.from;
  const middle = from + (event.clientX - box.left - 12) / (box.width - 24) * (to - from);
  view.from = middle - size / 2;
  view.to = view.from + size;
  keepInside();
}
map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); lookAt(event); });
map.addEventListener("pointermove", (event) => { if (event.buttons) lookAt(event); });
