"use strict";
// The page's text: facts become elements, and only ever as text. charts.js draws the rest.
globalThis.report = (() => {
const facts = JSON.parse(document.getElementById("facts").textContent);
const {run, tasks} = facts;

// -- elements and words ---------------------------------------------------------------------------------------------

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}
const count = value => value.toLocaleString("en");
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
function seconds(value) {
  if (value <= 0) return "0 s";
  if (value < 0.0005) return "<1 ms";
  if (value < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(1)} min`;
}
const megabytes = value => value ? `${count(Math.round(value))} MB` : "";
const pill = text => text ? el("span", {class: `pill ${text.replaceAll(" ", "-")}`}, text) : "";
const body = id => document.querySelector(`#${CSS.escape(id)} .body`);
const coded = text => text.split("`").map((part, i) => i % 2 ? el("code", {}, part) : part);
const lead = text => el("p", {class: "lead"}, text);
const WORDS = {new: "new: no earlier run has a result for it", "result lost": "its result was lost from the store"};
const said = cause => WORDS[cause] || cause;
/** A cause in one line: its first parts, and how many more there are. The whole of it stands in the task's own panel. */
function brief(cause, most = 3) {
  const inputs = [], own = [];
  for (const part of said(cause).split("; ")) (part.match(/^input .* changed$/) ? inputs : own).push(part);
  const cut = (parts, noun) => parts.slice(0, most).join(", ") + (parts.length > most ? ` and ${parts.length - most} more${noun}` : "");
  if (inputs.length) own.push(`${cut(inputs.map(part => part.slice(6, -8)), "")} changed`);
  return cut(own, "");
}
const change = (now, was, form) => {
  const shown = form(Math.abs(now - was));
  return shown === "<1 ms" || now === was ? "±0" : (now < was ? "−" : "+") + shown;
};

const share = task => task.outcome === "ran" && task.reason.endsWith(" buckets") ? task.reason : "";

/** Remove a section of which there is nothing to say. */
function without(id) {
  document.getElementById(id).remove();
  document.querySelector(`nav a[href="#${id}"]`)?.remove();
}
function noted(id, n, bad) {
  document.querySelector(`nav a[href="#${id}"]`)?.append(el("span", {class: bad ? "n bad" : "n"}, count(n)));
}

// -- tables ---------------------------------------------------------------------------------------------------------

/** A table that can be searched, filtered, sorted and paged. Columns: title, get (for sorting and search), show, cls. */
function table(host, {columns, rows, noun, page = 20, filters = [], open = null, mark = null}) {
  let found = rows, from = 0, by = -1, down = false, query = "", chosen = -1;
  const texts = rows.map(row => columns.map(c => c.get(row) ?? "").join("\u0000").toLowerCase());
  const at = new Map(rows.map((row, i) => [row, i]));
  const tbody = el("tbody"), told = el("span", {class: "count", "aria-live": "polite"});
  const before = el("button", {click: () => move(-page), "aria-label": "previous page"}, "‹");
  const after = el("button", {click: () => move(page), "aria-label": "next page"}, "›");
  // As wide as its longest name, within reason: cells that break anywhere would be squeezed by the others.
  const room = c => c.cls === "name" ? `min-width:${Math.min(rows.reduce((most, row) => Math.max(most, String(c.get(row) ?? "").length), 8), 44) + 5}ch` : null;
  const heads = columns.map((c, i) => el("th", {class: c.cls, scope: "col", style: room(c)}, el("button", {click: () => sort(i)}, c.title)));
  const buttons = filters.map((f, i) => el("button", {"aria-pressed": "false", click: () => choose(i)}, f.label));
  const search = el("input", {type: "search", placeholder: `search ${noun}s`, "aria-label": `search ${noun}s`,
    input: () => { query = search.value.toLowerCase(); narrow(); }});
  const isLong = rows.length > page;
  const tools = el("div", {class: "tools"}, isLong ? search : null, buttons.length > 1 ? buttons : null,
    isLong ? [told, before, after] : null);
  function sort(i) {
    [by, down] = [i, by === i ? !down : columns[i].cls === "num"];
    heads.forEach((h, j) => h.setAttribute("aria-sort", j !== i ? "none" : down ? "descending" : "ascending"));
    narrow();
  }
  function choose(i) {
    chosen = chosen === i ? -1 : i;
    buttons.forEach((b, j) => b.setAttribute("aria-pressed", String(j === chosen)));
    narrow();
  }
  function narrow() {
    found = rows.filter((row, i) => texts[i].includes(query) && (chosen < 0 || filters[chosen].test(row)));
    if (by >= 0) {
      const get = columns[by].get, sign = down ? -1 : 1;
      const order = (a, b) => a === b ? 0 : a === null || a === "" ? 1 : b === null || b === "" ? -1 : (a < b ? -1 : 1) * sign;
      found = [...found].sort((a, b) => order(get(a), get(b)) || at.get(a) - at.get(b));
    }
    from = 0;
    draw();
  }
  function move(step) { from += step; draw(); }
  function draw() {
    tbody.replaceChildren(...found.slice(from, from + page).map(row => {
      const cells = columns.map(c => el("td", {class: c.cls}, c.show ? c.show(row) : String(c.get(row) ?? "")));
      if (mark && mark(row)) cells[0].classList.add("marked");
      if (!open) return el("tr", {}, cells);
      return el("tr", {class: "link", tabindex: "0", click: () => open(row),
        keydown: event => { if (event.key === "Enter") open(row); }}, cells);
    }));
    if (!found.length) tbody.append(el("tr", {}, el("td", {class: "empty", colspan: columns.length}, `no ${noun} like that`)));
    const last = Math.min(from + page, found.length);
    told.textContent = `${found.length ? count(from + 1) : 0} to ${count(last)} of ${plural(found.length, noun)}`;
    before.disabled = from === 0;
    after.disabled = last >= found.length;
  }
  if (tools.childNodes.length) host.append(tools);
  host.append(el("div", {class: "scroll"}, el("table", {}, el("thead", {}, el("tr", {}, heads)), tbody)));
  draw();
}
const text = (title, i, cls = "text") => ({title, cls, get: row => row[i], show: row => row[i] ?? ""});
const number = (title, i, form = count) => ({title, cls: "num", get: row => row[i], show: row => row[i] === null ? "" : form(row[i])});
const capped = (host, {total, rows}, noun) => {
  if (total > rows.length) host.append(el("p", {class: "note"}, `the first ${count(rows.length)} of ${plural(total, noun)}`));
};

// -- one task -------------------------------------------------------------------------------------------------------

const readers = tasks.map(() => []);
tasks.forEach((task, i) => task.inputs.forEach(j => readers[j].push(i)));

/** From a task to what caused its outcome: indices of tasks, the last one with a cause of its own. */
function chain(i) {
  const steps = [i];
  while (tasks[i].via >= 0 && steps.length < tasks.length) steps.push(i = tasks[i].via);
  return steps;
}
const root = task => { const steps = chain(tasks.indexOf(task)); return tasks[steps[steps.length - 1]]; };
tasks.forEach((task, i) => { const steps = chain(i); task.root = steps.length > 1 ? tasks[steps[steps.length - 1]] : null; });
const link = i => el("a", {class: "task-link", href: `#task=${encodeURIComponent(tasks[i].name)}`}, tasks[i].name);
const links = (title, indices) => indices.length ? [el("h3", {}, `${title} (${count(indices.length)})`),
  el("div", {class: "chips"}, indices.slice(0, 60).map(link), indices.length > 60 ? `… ${count(indices.length - 60)} more` : null)] : null;

const detail = document.getElementById("detail");
function panel(...children) {
  detail.replaceChildren(el("button", {click: close, "aria-label": "close"}, "✕"), ...children.flat().filter(Boolean));
  detail.hidden = false;
  document.body.classList.add("with-detail");
  detail.scrollTop = 0;
}
function close() {
  detail.hidden = true;
  document.body.classList.remove("with-detail");
  document.querySelectorAll(".task.picked").forEach(box => box.classList.remove("picked"));
  if (location.hash.startsWith("#task=")) history.replaceState(null, "", "#plan");
}
function pick(boxes) {
  document.querySelectorAll(".task.picked").forEach(box => box.classList.remove("picked"));
  const figure = document.getElementById("drawing");
  for (const b of figure ? boxes : []) {
    const box = figure.querySelector(`[data-box="${b}"]`), at = box.getBoundingClientRect(), all = figure.getBoundingClientRect();
    box.classList.add("picked");
    figure.scrollBy(at.x - all.x - (all.width - at.width) / 2, at.y - all.y - (all.height - at.height) / 2);
  }
}
function showTask(i) {
  const task = tasks[i], steps = chain(i), lanes = facts.lanes.filter(lane => lane.spans.some(([t]) => t === i));
  const began = lanes.flatMap(lane => lane.spans).filter(([t]) => t === i).map(([, from]) => from).sort((a, b) => a - b)[0];
  const about = [
    ["measured", seconds(task.seconds)], ["predicted", seconds(task.weight)], ["CPU of workers", task.cpu_s ? seconds(task.cpu_s) : ""],
    ["memory of workers", megabytes(task.peak_mb)], ["worked", began === undefined ? "" : `from ${seconds(began)} after the run began, in ${lanes.map(lane => lane.name).join(", ")}`],
    ["generation", count(task.generation)], ["slack", seconds(task.slack)],
    ["rows", task.rows === null ? "" : count(task.rows)], ["data version", task.version], ["note", task.reason]];
  panel(el("h2", {}, task.name), el("p", {}, pill(task.outcome), " ", task.kind, " ", task.critical ? pill("critical") : ""),
    el("h3", {}, `Why it ${task.outcome === "ran" ? "ran" : `was ${task.outcome}`}`.replace("was failed", "failed").replace("was not run", "did not run")),
    el("ol", {class: "why"}, steps.map((s, n) => el("li", {}, n ? link(s) : el("b", {class: "mono"}, tasks[s].name), " ", pill(tasks[s].outcome), el("br"),
      n < steps.length - 1 && tasks[s].outcome === "ran" ? `reads ${tasks[steps[n + 1]].name}, which changed` : said(tasks[s].cause).split("; ").map(part => el("div", {}, part))))),
    el("h3", {}, "Facts"), el("dl", {}, about.filter(([, value]) => value).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
    links("Reads", task.inputs), links("Read by", readers[i]));
  pick(facts.boxes.flatMap((members, b) => members.includes(i) ? [b] : []));
}
function showGroup(b) {
  pick([b]);
  const members = facts.boxes[b].map(i => tasks[i]);
  const host = el("div");
  panel(el("h2", {}, `${plural(members.length, "task")} of generation ${members[0].generation}`), host);
  table(host, {noun: "task", rows: members, page: 30, open: openTask, mark: task => task.critical, columns: [
    {title: "task", cls: "name", get: t => t.name}, {title: "outcome", get: t => t.outcome, show: t => pill(t.outcome)},
    {title: "took", cls: "num", get: t => t.seconds, show: t => seconds(t.seconds)}]});
}
function openTask(task) {
  const hash = `#task=${encodeURIComponent(task.name)}`;
  if (location.hash === hash) follow(); else location.hash = hash;
}
function follow() {
  if (!location.hash.startsWith("#task=")) return;
  let name = "";
  try { name = decodeURIComponent(location.hash.slice(6)); } catch { return; }
  const i = tasks.findIndex(task => task.name === name);
  if (i >= 0) showTask(i);
}
addEventListener("hashchange", follow);
addEventListener("keydown", event => { if (event.key === "Escape") close(); });

// -- sections -------------------------------------------------------------------------------------------------------

const ORDER = ["failed", "rejected", "interrupted", "skipped", "not run", "ran", "reused"];
const outcomes = Object.keys(run.outcomes).sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
const swatch = (outcome, words) => el("span", {}, el("i", {class: `fill-${outcome.replaceAll(" ", "-")}`}), words || outcome);
const worked = tasks.filter(t => t.outcome === "ran" || t.outcome === "failed");
const slowest = [...worked].sort((a, b) => b.seconds - a.seconds || (a.name < b.name ? -1 : 1));

function header() {
  document.querySelector("h1").append(run.name, pill(run.status),
    el("small", {}, `run ${run.id}, ${run.started.replace("T", " ").replace("+00:00", " UTC")}`));
}

function card(title, value, notes, extra = {}) {
  return el("dl", {class: `card ${extra.look || ""}`, style: "margin:0"}, el("dt", {}, title),
    el("dd", {class: extra.name ? "name" : ""}, value), extra.bar || null, notes.filter(Boolean).map(n => el("p", {}, n)));
}

function summary() {
  const host = body("summary"), total = tasks.length;
  const shares = el("div", {class: "share", role: "img", "aria-label": outcomes.map(o => `${run.outcomes[o]} ${o}`).join(", ")},
    outcomes.map(o => el("i", {class: `fill-${o.replaceAll(" ", "-")}`, style: `width:${100 * run.outcomes[o] / total}%`})));
  const path = facts.critical_path.map(i => tasks[i]);
  const sum = key => path.reduce((s, t) => s + t[key], 0);
  const broken = facts.contracts.filter(c => c.outcome === "broken");
  const reusable = tasks.filter(t => t.kind !== "source"), hits = reusable.filter(t => t.outcome === "reused").length;
  const parts = [0, 0], f = run.files;
  tasks.forEach(t => share(t).match(/[0-9]+/g)?.forEach((n, i) => { parts[i] += Number(n); }));
  host.append(el("div", {class: "cards"},
    card("Tasks", plural(total, "task"), [outcomes.map(o => `${count(run.outcomes[o])} ${o}`).join(" · ")], {bar: shares}),
    card("Wall time", seconds(run.wall_s), [`${seconds(run.cpu_s)} of CPU`, `${megabytes(run.peak_mb)} peak memory`]),
    slowest.length ? card("Slowest task", slowest[0].name, [`${seconds(slowest[0].seconds)}, predicted ${seconds(slowest[0].weight)}`], {name: true}) : null,
    path.length ? card("Critical path", `${seconds(sum("seconds"))}`, [`predicted ${seconds(sum("weight"))}`, `${plural(path.length, "task")}, from ${path[0].name} to ${path[path.length - 1].name}`]) : null,
    reusable.length ? card("Cache hits", `${Math.floor(100 * hits / reusable.length)} %`, [`${count(hits)} of ${count(reusable.length)} tasks reused`,
      parts[1] ? `others: ${count(parts[1] - parts[0])} of ${count(parts[1])} buckets reused` : ""]) : null,
    f.total ? card("Files", count(f.total), [`${count(f.extracted)} extracted · ${count(f.reused)} reused`, f.failed ? `${count(f.failed)} with errors` : "none with errors"]) : null,
    facts.contracts.length ? card("Contracts", broken.length ? `${count(broken.length)} broken` : "all kept", [`${plural(facts.contracts.length, "rule")} checked`], {look: broken.some(c => c.severity === "fail") ? "bad" : broken.length ? "warn" : ""}) : null));
  for (const [name, message] of Object.entries(run.errors)) host.append(el("div", {class: "alert"}, el("b", {class: "mono"}, name), ` failed: ${message}`));
  for (const [name, message] of Object.entries(run.warnings)) host.append(el("div", {class: "alert warn"}, el("b", {class: "mono"}, name), `: ${message}`));
  if (run.status !== "ok") host.append(el("p", {class: "note"}, "Nothing was published; the last complete run stays current."));
  if (run.status === "failed" && !Object.keys(run.errors).length && Object.keys(run.warnings).length)
    host.append(el("p", {class: "note"}, "--strict lets no warning pass."));
  if (run.status === "failed" && !Object.keys(run.errors).length && f.failed)
    host.append(el("div", {class: "alert"}, `--strict asks for no failed files, and there are ${count(f.failed)}; they are listed below.`));
}

function ranAndWhy() {
  const host = body("tasks");
  noted("tasks", tasks.length);
  host.append(lead("What became of each task, and the cause: what differs from the last run that has a result for it. “Root” is where a chain of changed inputs began. A row opens the whole chain."));
  if (facts.changes.total) {
    host.append(el("h3", {}, `Changed since the run before (${count(facts.changes.total)})`));
    table(host, {noun: "change", rows: facts.changes.rows, page: 10, columns: [
      {title: "change", get: r => r[2], show: r => pill(r[2])}, text("what", 1, "name"), text("source", 0, "name")]});
    capped(host, facts.changes, "change");
    host.append(el("h3", {}, "Tasks"));
  }
  const rank = new Map(ORDER.map((o, i) => [o, i]));
  const rows = [...tasks].sort((a, b) => (rank.get(a.outcome) ?? 9) - (rank.get(b.outcome) ?? 9) || b.seconds - a.seconds);
  table(host, {noun: "task", rows, page: 15, open: openTask, mark: t => t.critical,
    filters: outcomes.map(o => ({label: `${o} ${count(run.outcomes[o])}`, test: t => t.outcome === o})), columns: [
      {title: "task", cls: "name", get: t => t.name}, {title: "kind", get: t => t.kind},
      {title: "outcome", cls: "line", get: t => `${t.outcome} ${share(t)}`, show: t => [pill(t.outcome), el("span", {class: "note"}, ` ${share(t)}`)]},
      {title: "why", cls: "text", get: t => said(t.cause), show: t => brief(t.cause)},
      {title: "root", cls: "root", get: t => t.root ? `${t.root.name}: ${said(t.root.cause)}` : "",
        show: t => t.root ? [el("span", {class: "mono"}, t.root.name), ": ", brief(t.root.cause, 1)] : ""},
      {title: "measured", cls: "num", get: t => t.seconds, show: t => seconds(t.seconds)},
      {title: "predicted", cls: "num", get: t => t.weight, show: t => seconds(t.weight)}]});
}

function drawing() {
  const host = body("plan"), figure = document.getElementById("drawing");
  if (!figure) return;
  const folded = facts.boxes.some(members => members.length > 1);
  host.prepend(lead(`An arrow runs from a table to its reader; columns are generations. Click a task to see why it ran.${folded ?
    " Tasks of one generation, kind and name are folded into groups, coloured as the rarest outcome in them: click one to see its tasks." : ""}`),
    el("div", {class: "legend"}, outcomes.map(o => swatch(o)), el("span", {}, el("i", {class: "hot"}), "critical path, as predicted"),
      folded ? el("span", {}, el("i", {class: "fold"}), "group") : null));
  figure.addEventListener("click", event => openBox(event.target.closest(".task")));
  figure.addEventListener("keydown", event => { if (event.key === "Enter") openBox(event.target.closest(".task")); });
  function openBox(box) {
    if (!box) return;
    const members = facts.boxes[box.dataset.box];
    if (members.length === 1) openTask(tasks[members[0]]); else showGroup(Number(box.dataset.box));
  }
}

function slow() {
  const host = body("slowest");
  if (!worked.length) return without("slowest");
  host.append(lead("Wall seconds of the slowest tasks beside what the plan predicted, and the most memory that worker processes held for them; what runs in the driver has none of its own."),
    el("div", {class: "charts"}, el("div", {class: "chart", id: "seconds"}), worked.some(t => t.peak_mb) ? el("div", {class: "chart", id: "memory"}) : null));
  table(host, {noun: "task", rows: slowest, page: 10, open: openTask, mark: t => t.critical, columns: [
    {title: "task", cls: "name", get: t => t.name}, {title: "kind", get: t => t.kind},
    {title: "measured", cls: "num", get: t => t.seconds, show: t => seconds(t.seconds)},
    {title: "predicted", cls: "num", get: t => t.weight, show: t => seconds(t.weight)},
    {title: "difference", cls: "num", get: t => t.seconds - t.weight, show: t => change(t.seconds, t.weight, seconds)},
    {title: "CPU of workers", cls: "num", get: t => t.cpu_s, show: t => t.cpu_s ? seconds(t.cpu_s) : ""},
    {title: "memory of workers", cls: "num", get: t => t.peak_mb, show: t => megabytes(t.peak_mb)},
    {title: "rows", cls: "num", get: t => t.rows, show: t => t.rows === null ? "" : count(t.rows)}]});
}

function contracts() {
  const host = body("contracts"), broken = facts.contracts.filter(c => c.outcome === "broken");
  if (!facts.contracts.length) return void host.append(lead("This run recorded no contract results."));
  noted("contracts", broken.length, broken.some(c => c.severity === "fail"));
  host.append(lead("Rules that public tables promise to keep. A broken rule of severity fail publishes nothing; up to five offending rows are shown."));
  const rows = [...facts.contracts].sort((a, b) => (a.outcome === "kept") - (b.outcome === "kept"));
  table(host, {noun: "rule", rows, page: 12, filters: ["broken", "kept"].map(o => ({label: o, test: c => c.outcome === o})), columns: [
    {title: "table", cls: "name", get: c => c.table}, {title: "rule", cls: "text", get: c => c.rule},
    {title: "outcome", get: c => c.outcome, show: c => pill(c.outcome)}, {title: "severity", get: c => c.severity},
    {title: "rows", cls: "num", get: c => c.count, show: c => c.count ? count(c.count) : ""},
    {title: "offending rows", cls: "place", get: c => c.rows.join("\n"), show: c => c.rows.map(row => el("div", {}, row))}]});
}

function errors() {
  const host = body("errors"), found = facts.errors;
  if (!found.there) return without("errors");
  noted("errors", found.total, found.total);
  if (found.note) host.append(el("div", {class: "alert"}, found.note));
  if (!found.total) return void (found.note || host.append(lead("Every file could be read and parsed.")));
  host.append(lead("Files that could not be read or parsed as they are. They are rows in extract_errors and never fail a build, unless it is strict."));
  const place = row => row[1] === null ? row[0] : `${row[0]}:${row[1]}`;
  table(host, {noun: "error", rows: found.rows, columns: [
    {title: "file and line", cls: "name", get: place}, {title: "error", get: r => r[4]}, text("message", 5),
    number("column", 2), {title: "stage", get: r => r[3]},
    {title: "", get: r => r[6] ? "read in part" : "", show: r => r[6] ? pill("read in part") : ""}]});
  capped(host, found, "error");
}

function catalog() {
  const host = body("catalog");
  if (!facts.catalog.length) return void host.append(lead("This run published no tables."));
  noted("catalog", facts.catalog.length);
  host.append(lead("Public tables: what a row is, its key, and what its columns mean."));
  for (const t of facts.catalog) {
    const about = [t.grain, t.rows === null ? "not published" : `${plural(t.rows, "row")}, version ${t.version}`].filter(Boolean).join(" · ");
    const inside = el("div", {});
    const told = [["id", t.semantic_id], ["entity", t.entity], ["key", t.keys.join(", ")], ["joins on", t.join_keys.join(", ")], ["stability", t.stability],
      ["made from", t.upstream.join(", ")], ["promises", t.rules.filter(r => !r.endsWith(" is never null")).join("; ")], ["if broken", t.severity]];
    inside.append(el("dl", {}, told.filter(([, v]) => v).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])));
    table(inside, {noun: "column", rows: t.columns, page: 100, columns: [
      {title: "column", cls: "name", get: c => c.name}, {title: "type", get: c => c.type},
      {title: "null", get: c => c.nullable ? "may be null" : ""},
      ...(t.columns.some(c => c.unit) ? [{title: "unit", get: c => c.unit}] : []), ...(t.columns.some(c => c.meaning) ? [{title: "meaning", cls: "text", get: c => c.meaning, show: c => coded(c.meaning)}] : [])]});
    host.append(el("details", {}, el("summary", {}, el("span", {class: "mono"}, t.table), " ", el("span", {class: "note"}, coded(about))), inside));
  }
}

function drift() {
  const host = body("drift"), alarms = facts.drift.rows.filter(r => r[0]).length;
  noted("drift", alarms, alarms);
  host.append(lead("Where the run did not go as planned. An alarm has no explanation; the rest has one. Predicted against measured seconds stand beside each task above."));
  if (!facts.drift.total) return void host.append(el("p", {}, "It went as planned."));
  table(host, {noun: "difference", rows: facts.drift.rows, columns: [
    {title: "", get: r => r[0] ? "alarm" : "", show: r => r[0] ? el("span", {class: "pill failed"}, "alarm") : ""},
    text("kind", 1), text("task", 2, "name"), text("expected", 3), text("actual", 4)]});
  capped(host, facts.drift, "difference");
}

function metadata() {
  table(body("run"), {noun: "entry", rows: facts.metadata, page: 60, columns: [text("key", 0, "name"), text("value", 1, "place")]});
}

function difference() {
  const d = facts.difference, host = body("difference");
  if (!d) return without("difference");
  const ratio = (was, now, form) => [form(was), " → ", el("b", {}, form(now))];
  host.append(lead(`This run beside run ${d.old.id} of ${d.old.started.replace("T", " ").replace("+00:00", " UTC")}, which comes first in each pair.`));
  const pairs = [["status", [pill(d.old.status), " → ", pill(run.status)]], ["wall time", ratio(d.old.wall_s, run.wall_s, seconds)],
    ["CPU", ratio(d.old.cpu_s, run.cpu_s, seconds)], ["peak memory", ratio(d.old.peak_mb, run.peak_mb, megabytes)],
    ["tasks that ran", ratio(d.old.outcomes.ran || 0, run.outcomes.ran || 0, count)]];
  if (run.files.total) pairs.push(["files extracted", ratio(d.old.files.extracted, run.files.extracted, count)], ["files with errors", ratio(d.old.files.failed, run.files.failed, count)]);
  host.append(el("div", {class: "cards small"}, pairs.map(([k, v]) => el("dl", {class: "card", style: "margin:0"}, el("dt", {}, k), el("dd", {style: "font-size:15px;font-weight:400"}, v)))));
  const plan = d.plan;
  if (!plan) host.append(el("p", {class: "note"}, "One of the runs left no plan to compare."));
  else {
    const rows = [...plan.added.map(n => ["added", "task", n, ""]), ...plan.removed.map(n => ["removed", "task", n, ""]),
      ...plan.changed.map(([n, parts]) => ["changed", "task", n, parts.join(", ")]),
      ...plan.edges_added.map(([a, b]) => ["added", "edge", `${a} → ${b}`, ""]), ...plan.edges_removed.map(([a, b]) => ["removed", "edge", `${a} → ${b}`, ""])];
    host.append(el("h3", {}, "Plan"));
    if (rows.length) table(host, {noun: "difference", rows, page: 10, columns: [{title: "", get: r => r[0], show: r => pill(r[0])}, text("what", 1), text("name", 2, "name"), text("parts that differ", 3)]});
    else host.append(el("p", {class: "note"}, "Both runs had the same plan."));
  }
  if (d.sources.total) {
    host.append(el("h3", {}, `Sources (${count(d.sources.total)})`));
    table(host, {noun: "change", rows: d.sources.rows, page: 10, columns: [{title: "change", get: r => r[2], show: r => pill(r[2])}, text("file", 1, "name"), text("source", 0, "name")]});
    capped(host, d.sources, "change");
  }
  if (d.tables.length) {
    host.append(el("h3", {}, "Tables"));
    table(host, {noun: "table", rows: d.tables, columns: [text("table", 0, "name"), {title: "data", get: r => r[5], show: r => pill(r[5])},
      number("rows before", 1), number("rows now", 2), {title: "difference", cls: "num", get: r => (r[2] ?? 0) - (r[1] ?? 0), show: r => r[1] === null || r[2] === null ? "" : change(r[2], r[1], count)},
      number("version before", 3), number("version now", 4)]});
  }
  host.append(el("h3", {}, "Tasks"));
  const byName = new Map(tasks.map(t => [t.name, t]));
  table(host, {noun: "task", rows: d.tasks, page: 15, open: r => byName.has(r[0]) && openTask(byName.get(r[0])),
    filters: [{label: "other outcome", test: r => r[1] !== r[2]}, {label: "other data", test: r => r[5] !== "same"}], columns: [
      text("task", 0, "name"), {title: "before", get: r => r[1], show: r => pill(r[1])}, {title: "now", get: r => r[2], show: r => pill(r[2])},
      {title: "data", get: r => r[5], show: r => pill(r[5])}, number("seconds before", 3, seconds), number("seconds now", 4, seconds),
      {title: "difference", cls: "num", get: r => r[4] - r[3], show: r => change(r[4], r[3], seconds)},
      {title: "why now", cls: "text", get: r => said(r[6]), show: r => brief(r[6])}]});
}

header(); summary(); difference(); ranAndWhy(); drawing(); slow(); contracts(); errors(); catalog(); drift(); metadata();
follow();
return {facts, tasks, slowest, el, body, lead, seconds, megabytes, swatch, outcomes, openTask, without};
})();
