"use strict";
// The page's charts, drawn by Bokeh: the critical path, the timeline, and the slowest tasks. Drawn anew in other colours
// when the reader's system turns dark or light.
(() => {
const {facts, tasks, slowest, el, body, lead, seconds, megabytes, swatch, outcomes, openTask, without} = globalThis.report;
const {run} = facts;
Bokeh.logger.set_level("error"); // it tells the console what it did
const SHOWN = 15, ROW = 26, CHARACTER = 6.6;
let colour = {};

function colours() {
  const style = getComputedStyle(document.documentElement);
  colour = Object.fromEntries(["ink", "quiet", "paper", "raised", "line", "hot", "ran", "reused", "failed", "skipped", "interrupted"]
    .map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
}
const filled = outcome => colour[outcome === "rejected" ? "failed" : outcome] || colour.skipped;
const short = (name, most = 34) => name.length > most ? `${name.slice(0, most - 1)}…` : name;

function figure(host, rows, {height, end, unit, label, zooms = false}) {
  const plot = Bokeh.Plotting.figure({
    y_range: new Bokeh.FactorRange({factors: [...rows].reverse(), range_padding: 0.02}),
    x_range: new Bokeh.Range1d({start: 0, end, bounds: [0, end]}),
    height, sizing_mode: "stretch_width", tools: zooms ? "xpan,xwheel_zoom,xbox_zoom,reset" : "", toolbar_location: zooms ? "right" : null,
    background_fill_color: colour.paper, border_fill_color: colour.paper, outline_line_color: null, min_border_left: 120,
    min_border_right: 16});
  plot.toolbar.logo = null;
  for (const axis of [plot.xaxis, plot.yaxis].flat()) {
    axis.axis_line_color = colour.line;
    axis.major_tick_line_color = colour.line;
    axis.minor_tick_line_color = null;
    axis.major_label_text_color = colour.ink;
    axis.major_label_text_font_size = "12px";
    axis.axis_label_text_color = colour.quiet;
    axis.axis_label_text_font_size = "12px";
    axis.axis_label_text_font_style = "normal";
  }
  plot.xaxis.axis_label = unit;
  plot.xgrid.grid_line_color = colour.line;
  plot.xgrid.grid_line_alpha = 0.6;
  plot.ygrid.grid_line_color = null;
  host.setAttribute("role", "img");
  host.setAttribute("aria-label", label);
  return plot;
}

/** Bars of `spans` ({row, from, to, task, look, …}); `task` opens on click. Those on the critical path have a rim. */
function bars(plot, spans, width, end) {
  const texts = spans.map(s => {
    const room = Math.floor((s.to - s.from) / end * width / CHARACTER) - 1;
    return room < 4 ? "" : short(s.name, room);
  });
  const data = {row: spans.map(s => s.row), from: spans.map(s => s.from), to: spans.map(s => s.to), name: spans.map(s => s.name),
    fill: spans.map(s => s.fill), rim: spans.map(s => s.rim), thick: spans.map(s => s.rim === colour.hot ? 2.5 : 0.6), text: texts,
    at: spans.map(s => s.from), took: spans.map(s => seconds(s.to - s.from)), told: spans.map(s => s.told || ""), task: spans.map(s => s.task)};
  const source = new Bokeh.ColumnDataSource({data});
  const drawn = plot.hbar({field: "row"}, 0.72, {field: "to"}, {field: "from"}, {source, fill_color: {field: "fill"},
    line_color: {field: "rim"}, line_width: {field: "thick"}, nonselection_fill_alpha: 1, nonselection_line_alpha: 1});
  plot.text({field: "at"}, {field: "row"}, {field: "text"}, {source, x_offset: 4, text_baseline: "middle", text_font_size: "11.5px",
    text_color: colour.paper, nonselection_text_alpha: 1});
  plot.add_tools(new Bokeh.HoverTool({renderers: [drawn], tooltips: [["task", "@name"], ["took", "@took"], ["", "@told"]]}),
    new Bokeh.TapTool({renderers: [drawn]}));
  source.selected.change.connect(() => {
    const [i] = source.selected.indices;
    if (i === undefined) return;
    const task = tasks[data.task[i]];
    source.selected.indices = [];
    if (task) openTask(task);
  });
}

function span(row, i, from, to, told) {
  const task = tasks[i];
  return {row, from, to, task: i, name: task.name, told: told || `${task.outcome}, predicted ${seconds(task.weight)}`,
    fill: filled(task.outcome), rim: task.critical ? colour.hot : colour.paper};
}

function path(host) {
  const found = facts.critical_path, spans = [];
  for (const [row, key] of [["predicted", "weight"], ["measured", "seconds"]]) {
    let at = 0;
    found.forEach((i, n) => {
      const s = span(row, i, at, at + tasks[i][key], `${key === "weight" ? "predicted" : tasks[i].outcome}; step ${n + 1} of the critical path`);
      spans.push({...s, rim: colour.paper, fill: key === "weight" ? colour.quiet : s.fill});
      at += tasks[i][key];
    });
  }
  const end = Math.max(...spans.map(s => s.to), 0.001) * 1.02;
  const plot = figure(host, ["predicted", "measured"], {height: 2 * ROW + 66, end, unit: "seconds, one task after another",
    label: "tasks of the critical path, predicted beside measured"});
  bars(plot, spans, host.clientWidth - 150, end);
  Bokeh.Plotting.show(plot, host);
}

function timeline(host) {
  const spans = facts.lanes.flatMap(lane => lane.spans.map(([i, from, to]) => span(lane.name, i, from, to)));
  const lanes = facts.lanes.map(lane => lane.name), end = run.wall_s * 1.01;
  const ended = Math.max(...spans.map(s => s.to)), began = Math.min(...spans.filter(s => tasks[s.task].kind !== "source").map(s => s.from), ended);
  const frame = (name, from, to, told) => ({row: "run", from, to, task: -1, name, told, fill: colour.skipped, rim: colour.paper});
  const whole = [frame("planning and reading", 0, began, "before the first task"), frame("tasks", began, ended, "from the first task to the last"),
    frame("publishing and records", ended, run.wall_s, "after the last task")].filter(s => s.to > s.from);
  const rows = ["run", ...lanes];
  const plot = figure(host, rows, {height: rows.length * ROW + 66, end, zooms: true, unit: "seconds since the run began", label: "what each thread and worker process did when"});
  bars(plot, [...whole, ...spans], host.clientWidth - 150, end);
  Bokeh.Plotting.show(plot, host);
}

function slowestTasks(host) {
  const {shown, names} = worth();
  const spans = shown.map((t, n) => ({...span(names[n], tasks.indexOf(t), 0, t.seconds)}));
  const end = Math.max(...shown.map(t => Math.max(t.seconds, t.weight)), 0.001) * 1.04;
  const plot = figure(host, names, {height: names.length * ROW + 66, end, unit: "seconds", label: "measured and predicted seconds of the slowest tasks"});
  bars(plot, spans, 0, end);
  const source = new Bokeh.ColumnDataSource({data: {x: shown.map(t => t.weight), y: names, told: shown.map(t => seconds(t.weight))}});
  const marks = plot.scatter({field: "x"}, {field: "y"}, {source, marker: "dash", angle: Math.PI / 2, size: 20, line_width: 3, line_color: colour.ink});
  plot.add_tools(new Bokeh.HoverTool({renderers: [marks], tooltips: [["predicted", "@told"]]}));
  Bokeh.Plotting.show(plot, host);
}

function memory(host) {
  const {shown, names} = worth();
  const end = Math.max(...shown.map(t => t.peak_mb), 1) * 1.04;
  const plot = figure(host, names, {height: names.length * ROW + 66, end, unit: "megabytes", label: "peak memory of the slowest tasks' workers"});
  const source = new Bokeh.ColumnDataSource({data: {y: names, x: shown.map(t => t.peak_mb), told: shown.map(t => megabytes(t.peak_mb) || "none of its own")}});
  const drawn = plot.hbar({field: "y"}, 0.72, {field: "x"}, 0, {source, fill_color: colour.skipped, line_color: null});
  plot.add_tools(new Bokeh.HoverTool({renderers: [drawn], tooltips: [["task", "@y"], ["memory", "@told"]]}));
  Bokeh.Plotting.show(plot, host);
}

/** The slowest tasks whose bars can be seen, and what their rows are called. */
function worth() {
  const first = slowest.slice(0, SHOWN), most = Math.max(...first.map(t => Math.max(t.seconds, t.weight)));
  const shown = first.filter((t, n) => n < 3 || Math.max(t.seconds, t.weight) > most / 100);
  return {shown, names: distinct(shown.map(t => short(t.name)))};
}

/** Two long names may be cut to the same text, and rows of a chart must differ. */
function distinct(names) {
  const seen = new Map();
  return names.map(name => {
    seen.set(name, (seen.get(name) || 0) + 1);
    return seen.get(name) > 1 ? `${name} (${seen.get(name)})` : name;
  });
}

const charts = [];
function chart(host, title, draw) {
  const place = el("div", {class: "chart"});
  host.append(el("h3", {}, title), place);
  charts.push([place, draw]);
}
function draw() {
  colours();
  for (const [place, drawn] of charts) {
    place.replaceChildren();
    drawn(place);
  }
}

if (facts.lanes.length || facts.critical_path.length) {
  const host = body("timeline");
  host.append(lead("When each task ran and where. A thread of the driver waits for the worker processes that its tasks use, so both are shown. Drag to zoom; click a bar for its task."),
    el("div", {class: "legend"}, outcomes.filter(o => o === "ran" || o === "failed").map(o => swatch(o)), el("span", {}, el("i", {class: "hot"}), "critical path")));
  if (facts.lanes.length) chart(host, "By thread and worker process", timeline);
  if (facts.critical_path.length) chart(host, "Critical path: predicted beside measured", path);
} else without("timeline");
const slow = document.getElementById("seconds");
if (slow) {
  chart(slow, "Seconds: measured (bar) and predicted (mark)", slowestTasks);
  const beside = document.getElementById("memory");
  if (beside) chart(beside, "Peak memory of worker processes", memory);
}
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.documentElement.dataset.drawn = "yes";
})();
