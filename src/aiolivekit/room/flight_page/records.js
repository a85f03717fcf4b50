// -- the table, the search, and what is around ------------------------------------------------------

const rows = $("rows"), search = $("search");
const rowOf = [];

function cell(row, text, name) {
  const td = row.insertCell();
  td.textContent = text;
  if (name) td.className = name;
  return td;
}

function marked(parent, text, words) {
  const low = text.toLowerCase();
  let from = 0;
  while (words.length) {
    const hits = words.map((word) => [low.indexOf(word, from), word.length]).filter(([at]) => at >= 0);
    if (!hits.length) break;
    const [at, size] = hits.reduce((best, each) => each[0] < best[0] ? each : best);
    parent.append(text.slice(from, at));
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + size);
    parent.append(mark);
    from = at + size;
  }
  parent.append(text.slice(from));
}

function fill(words) {
  const body = document.createDocumentFragment();
  rowOf.length = 0;
  let previous = null, count = 0;
  for (const record of records) {
    if (!record.match || !shown.has(record.lane)) continue;
    const row = document.createElement("tr");
    row.className = record.tone;
    cell(row, clock(record.at), "num");
    cell(row, previous ? `+${span(record.at - previous.at)}` : "", "num");
    const lane = cell(row, record.lane, "of");
    lane.style.setProperty("--dot", `var(--${record.lane})`);
    cell(row, record.epoch || "", "num");
    const arrow = { sent: "↑ ", received: "↓ " }[record.what];
    const what = cell(row, "", "what");
    marked(what, arrow ? arrow + record.fields.kind : record.what, words);
    const details = row.insertCell();
    for (const [name, value] of Object.entries(record.fields)) {
      if (arrow && name === "kind") continue;
      const field = document.createElement("span"), em = document.createElement("em");
      field.className = "field";
      em.textContent = name.replaceAll("_", " ");
      field.append(em);
      marked(field, textOf(value), words);
      details.append(field, " ");
    }
    row.addEventListener("click", () => choose(record, false));
    rowOf[record.index] = row;
    body.append(row);
    previous = record;
    count += 1;
  }
  rows.replaceChildren(body);
  $("none").hidden = count > 0;
  $("found").textContent = words.length ? `${count} of ${records.length}` : "";
  if (chosen && rowOf[chosen.index]) rowOf[chosen.index].classList.add("chosen");
}

function look() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const record of records) record.match = words.every((word) => record.text.includes(word));
  fill(words);
  draw();
}

function choose(record, scroll) {
  if (chosen && rowOf[chosen.index]) rowOf[chosen.index].classList.remove("chosen");
  chosen = record;
  const row = rowOf[record.index], bent = bend(record.at);
  if (row) {
    row.classList.add("chosen");
    if (scroll) reveal(row);
  }
  if (bent < view.from || bent > view.to) {
    const size = view.to - view.from;
    view.from = bent - size / 2;
    view.to = view.from + size;
  }
  draw();
}

// Within the table; the page stays where it is.
function reveal(row) {
  const box = $("scroll").getBoundingClientRect(), place = row.getBoundingClientRect();
  const above = place.top - box.top - 36, below = place.bottom - box.bottom;
  if (above < 0 || below > 0) $("scroll").scrollTop += place.top - box.top - box.height / 2;
}

function step(by) {
  const visible = records.filter((record) => rowOf[record.index]);
  if (!visible.length) return;
  const at = chosen ? visible.indexOf(chosen) : by > 0 ? -1 : visible.length;
  choose(visible[Math.min(visible.length - 1, Math.max(0, at + by))], true);
}

function about() {
  const began = new Date(trace.began * 1000).toISOString().replace("T", " ").slice(0, 19);
  const parts = [`${began} UTC`, clock(LEAVE - ENTER, 0.01), `${records.length} records`];
  if (trace.dropped) parts.push(`${trace.dropped} older ones dropped`);
  if (trace.withheld) parts.push(`${trace.withheld} values withheld`);
  if (trace.made_by) parts.push(trace.made_by);
  $("about").textContent = parts.join(" · ");
}

function episodes() {
  for (const record of records) {
    if (record.what !== "reconnect reported") continue;
    const { succeeded, mode, attempts, duration, source, reason } = record.fields;
    const button = document.createElement("button"), head = document.createElement("b"), rest = document.createElement("span");
    button.className = succeeded ? "episode" : "episode bad";
    head.textContent = succeeded ? `${mode} in ${span(duration)} ` : `given up after ${span(duration)} `;
    const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
    rest.textContent = `${tries} · ${succeeded ? "lost" : "ended by"}: ${source || "?"} (${reason || "?"}) · at ${clock(record.at - duration, 0.01)}`;
    button.append(head, rest);
    button.addEventListener("click", () => { show(record.at - duration, record.at); choose(record, true); });
    $("episodes").append(button);
  }
}

for (const lane of trace.lanes) {
  const button = document.createElement("button"), dot = document.createElement("i"), count = document.createElement("small");
  button.className = "lane";
  button.style.setProperty("--dot", `var(--${lane})`);
  button.setAttribute("aria-pressed", "true");
  count.textContent = records.filter((record) => record.lane === lane).length;
  button.append(dot, lane, count);
  button.addEventListener("click", () => {
    if (shown.has(lane)) shown.delete(lane); else shown.add(lane);
    button.setAttribute("aria-pressed", String(shown.has(lane)));
    look();
  });
  $("lanes").append(button);
}

const night = matchMedia("(prefers-color-scheme: dark)");
function paint(theme) { document.documentElement.dataset.theme = theme; draw(); }
night.addEventListener("change", () => paint(night.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
$("in").addEventListener("click", () => zoom(0.5, LABELS + (line.clientWidth - LABELS) / 2));
$("out").addEventListener("click", () => zoom(2, LABELS + (line.clientWidth - LABELS) / 2));
$("fit").addEventListener("click", () => { fit(); draw(); });
$("shorten").addEventListener("change", (event) => { shorten = event.target.checked; fit(); draw(); });
search.addEventListener("input", look);
addEventListener("keydown", (event) => {
  if (event.target === search) {
    if (event.key === "Escape") { search.value = ""; look(); search.blur(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), "/": () => search.focus(), "0": () => { fit(); draw(); },
    "+": () => $("in").click(), "-": () => $("out").click(),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
new ResizeObserver(draw).observe($("view"));

document.documentElement.dataset.theme = night.matches ? "dark" : "light";
// Of a long visit most is quiet.
shorten = $("shorten").checked = LEAVE - ENTER > 2;
about();
episodes();
fit();
measure();
look();
