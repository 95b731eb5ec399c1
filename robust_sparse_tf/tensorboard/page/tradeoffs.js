// What robustness costs: accuracies against density, size and latency, over all runs.

import { address } from "./api.js";
import { accuracies, chart, grid, plain } from "./charts.js";
import { choice, select } from "./controls.js";
import { brief, bytes, compact, count, density, el, finite, number, panel, percent, section, unique } from "./dom.js";
import { color } from "./theme.js";
import { worst } from "./runs.js";
import { tickets } from "./tickets.js";

const COSTS = [
  ["density", "Density", "density", (run) => run.density, density, { tickformat: ".3~p" }],
  ["multiply_accumulates", "Multiply-adds", "multiply-adds of one example", (run) => run.multiply_accumulates, compact, { tickformat: ".2~s" }],
  ["bytes", "Weights", "bytes", (run) => run.bytes, bytes, { tickformat: ".2~s" }],
  ["tflite_bytes", "TFLite file", "bytes", (run) => run.tflite_bytes, bytes, { tickformat: ".2~s" }],
  ["latency_ms", "Latency", "milliseconds an example, one thread", (run) => run.latency_ms, (value) => `${number(value)} ms`, {}],
];

export function view(context) {
  const { runs, state, set } = context;
  const attacks = unique(runs.flatMap((run) => Object.keys(run.robust ?? {})));
  const options = [
    ...(runs.some((run) => worst(run) !== null) ? [["worst", "Worst case of the last report"]] : []),
    ...attacks.map((attack) => [attack, `Under ${attack}`]),
    ["clean", "Clean"],
  ];
  // Most runs have what they logged themselves: that is shown first.
  const known = options.map(([attack]) => attack);
  const attack = known.includes(state.attack) ? state.attack : attacks.at(-1) ?? known[0];
  const value = (run) => finite(attack === "worst" ? worst(run) : attack === "clean" ? run.clean : run.robust?.[attack] ?? null);
  const title = options.find(([each]) => each === attack)[1];
  const costs = COSTS.map((cost) => against(context, cost, value, title)).filter(Boolean);
  return el("div", {},
    section("What robustness costs", "Every point is a run; those that are not drawn are gray. The line is the Pareto front: no run is both cheaper and more accurate.",
      el("div", { class: "row controls" },
        select("Accuracy", options, attack, (each) => set({ attack: each }), "tradeoffs-attack"),
        choice("Costs", [["log", "Logarithmic"], ["linear", "Linear"]], state.scale, (scale) => set({ scale }))),
      costs.length ? grid(costs) : panel("hint", "No accuracies", el("p", {}, `No run has both this accuracy (${title}) and a cost. RobustnessLog writes accuracies; SparsityLog writes densities.`)),
      absent(context)),
    tickets(context));
}

/** Which costs no run has, and what writes them. */
function absent({ runs }) {
  const missing = COSTS.slice(2).filter(([, , , value]) => !runs.some((run) => finite(value(run) ?? null) !== null)).map(([, title]) => title);
  if (!missing.length) return null;
  return el("p", { class: "muted foot" }, `Not known for any run: ${missing.join(", ")}. Sizes of files and latencies are logged at the end of a run of experiments.`);
}

/** The points that no other point beats, from the cheapest on. */
export function front(points) {
  const best = [];
  for (const point of points.toSorted((a, b) => a.cost - b.cost || b.accuracy - a.accuracy)) {
    if (!best.length || point.accuracy > best.at(-1).accuracy) best.push(point);
  }
  return best;
}

/** A logarithmic axis with labels at 1, 2 and 5, where it is long enough for them; or a linear one. */
export function scaled(scale, values) {
  if (scale === "linear") return { type: "linear", rangemode: "tozero" };
  return { type: "log", dtick: Math.max(...values) > 5 * Math.min(...values) ? "D2" : undefined };
}

function against(context, [key, title, unit, cost, text, axis], value, of) {
  const drawn = new Set(context.picked);
  const points = context.runs
    .map((run) => ({ run, cost: finite(cost(run) ?? null), accuracy: value(run) }))
    .filter((point) => point.cost !== null && point.accuracy !== null && (context.state.scale === "linear" || point.cost > 0));
  if (!points.length) return null;
  const best = front(points);
  const names = new Set(best.map((point) => point.run));
  const look = ({ run }) => (drawn.has(run) ? context.looks.get(run.run) : { color: color("faint"), symbol: "circle" });
  const traces = points.map((point) => ({
    type: "scatter", mode: "markers", x: [point.cost], y: [point.accuracy], name: plain(point.run.label), meta: { run: point.run.run },
    marker: {
      color: look(point).color, symbol: look(point).symbol, size: point.run === context.run ? 14 : 10,
      line: { width: point.run === context.run ? 2 : 1, color: point.run === context.run ? color("text") : color("bg") },
    },
    customdata: [text(point.cost)],
    hovertemplate: `<b>%{fullData.name}</b><br>%{customdata}<br>%{y:.1%}<extra></extra>`,
  }));
  traces.unshift({
    type: "scatter", mode: "lines", x: best.map((point) => point.cost), y: best.map((point) => point.accuracy), hoverinfo: "skip",
    line: { shape: "hv", color: color("muted"), width: 1.5, dash: "dot" },
  });
  const listed = best.map((point) => `${point.run.label} (${text(point.cost)}, ${percent(point.accuracy)})`);
  return chart({
    title: `${title}`, note: of, traces, height: 300,
    layout: { xaxis: { title: unit, ...scaled(context.state.scale, points.map((point) => point.cost)), ...axis }, yaxis: accuracies(points.map((point) => point.accuracy)) },
    summary: `On the Pareto front, of ${count(points.length, "run")}: ${brief(listed)}.`,
    all: address("csv", { kind: "runs" }), onpick: (run) => context.set({ run }),
    data: { columns: ["run", key, "accuracy", "on the front"], rows: points.map((point) => [point.run.run, point.cost, point.accuracy, names.has(point.run) ? "yes" : "no"]) },
  });
}
