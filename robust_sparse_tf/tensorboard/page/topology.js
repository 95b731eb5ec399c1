// Where the weights are, and how fast they move.

import * as api from "./api.js";
import { chart, grid, line, plain } from "./charts.js";
import { choice } from "./controls.js";
import { brief, compact, density, el, finite, number, percent, section } from "./dom.js";
import { missing } from "./empty.js";
import { look } from "./theme.js";

const MEASURES = [
  ["density", "Density", "Fraction of the weights that are kept", "density"],
  ["churn", "Churn", "Fraction of the weights whose mask changed at the last update", "fraction of weights"],
  ["exploration", "Exploration", "Fraction of the weights that were active at some time", "fraction of weights"],
  ["no_input", "Units without inputs", "Units whose incoming weights are all pruned", "units"],
  ["no_output", "Units without outputs", "Units whose outgoing weights are all pruned", "units"],
  ["multiply_accumulates", "Multiply-adds", "Of one example, with the zeros left out", "multiply-adds"],
];
export async function view(context) {
  const { run, state, set } = context;
  const having = context.picked.filter((each) => each.has.includes("topology"));
  const own = run.has.includes("topology") ? await api.topology(run.run) : null;
  const perLayer = state.lines === "layers";
  const found = perLayer ? {} : await api.network(having.map((each) => each.run));
  const named = new Map(having.filter((each) => each.run in found).map((each) => [each, found[each.run]]));
  const lines = MEASURES.map((measure) => (perLayer ? ofLayers(context, own, measure) : ofRuns(context, named, measure))).filter(Boolean);
  return el("div", {},
    section(`Topology of ${run.label}`, "Where the weights are, step by step.",
      own && own.steps.length ? heatmap(run, own) : missing("topology", run.label)),
    section("Over the steps", null,
      el("div", { class: "row controls" }, choice("A line for each", [["runs", "Run, whole network"], ["layers", `Layer of ${run.label}`]], state.lines, (lines) => set({ lines }))),
      lines.length ? grid(lines) : missing("topology", "the runs that are drawn")));
}

function heatmap(run, { steps, layers, sizes, measures }) {
  const z = layers.map((_, layer) => steps.map((_, at) => finite(measures.density?.[at]?.[layer])));
  const last = steps.length - 1;
  const ends = layers.map((_, layer) => measures.density?.[last]?.[layer]);
  const known = ends.filter((value) => typeof value === "number");
  const summary = known.length
    ? `At step ${number(steps[last])} the layers keep from ${density(Math.min(...known))} to ${density(Math.max(...known))} of their weights.`
    : "No density of a layer is known.";
  return chart({
    title: "Density by layer and step", summary, height: Math.max(180, 90 + 30 * layers.length),
    all: api.address("csv", { kind: "topology", measure: "density" }),
    traces: [{
      type: "heatmap", x: steps, y: layers.map(plain), z, colorscale: "Cividis", zmin: 0, zmax: Math.max(0.01, ...z.flat()),
      hovertemplate: "%{y}<br>step %{x}<br>density %{z:.2%}<extra></extra>",
      colorbar: { thickness: 10, outlinewidth: 0, tickformat: ".0%", len: 1 },
    }],
    layout: { xaxis: { title: "step" }, yaxis: { type: "category", autorange: "reversed", ticklabeloverflow: "allow" } },
    data: {
      columns: ["run", "step", "layer", "weights", "density"],
      rows: steps.toReversed().flatMap((step, back) => layers.map((layer, each) => [run.run, step, layer, sizes[each], measures.density?.[last - back]?.[each] ?? null])),
    },
  });
}

const shown = (key, value) => (key === "multiply_accumulates" ? compact(value) : key.startsWith("no_") ? number(value) : percent(value, 2));

function ofRuns(context, named, [key, title, note, unit]) {
  const traces = [];
  const rows = [];
  const ends = [];
  for (const [run, { steps, network }] of named) {
    const values = network[key];
    if (!values?.some((value) => finite(value) !== null)) continue;
    traces.push(line({
      name: run.label, run: run.run, x: steps, y: values.map(finite), look: context.looks.get(run.run), isChosen: run.run === context.run.run,
      hovertemplate: `<b>%{fullData.name}</b><br>step %{x}<br>${unit} %{y:.4~g}<extra></extra>`,
    }));
    ends[run.run === context.run.run ? "unshift" : "push"](`${run.label} ${shown(key, values.at(-1))}`);
    rows.push(...steps.map((step, at) => [run.run, step, values[at]]));
  }
  if (!traces.length) return null;
  return chart({
    title, note, traces, height: 260, layout: { xaxis: { title: "step" }, yaxis: { title: unit, rangemode: "tozero" } },
    summary: `At the last step: ${brief(ends)}.`, all: api.address("csv", { kind: "topology", measure: key }),
    onpick: (run) => context.set({ run }), data: { columns: ["run", "step", key], rows },
  });
}

function ofLayers(context, own, [key, title, note, unit]) {
  const values = own?.measures[key];
  if (!values?.flat().some((value) => finite(value) !== null)) return null;
  const traces = own.layers.map((layer, each) => line({
    name: layer, x: own.steps, y: values.map((row) => finite(row[each])), look: look(each),
    hovertemplate: `<b>%{fullData.name}</b><br>step %{x}<br>${unit} %{y:.4~g}<extra></extra>`,
  }));
  const ends = own.layers.map((layer, each) => `${layer} ${shown(key, values.at(-1)[each])}`);
  return chart({
    title, note, traces, height: 280, layout: { xaxis: { title: "step" }, yaxis: { title: unit, rangemode: "tozero" }, legend: {} },
    summary: `At the last step: ${brief(ends)}.`, all: api.address("csv", { kind: "topology", measure: key }),
    data: {
      columns: ["run", "step", "layer", key],
      rows: own.steps.flatMap((step, at) => own.layers.map((layer, each) => [context.run.run, step, layer, values[at][each]])),
    },
  });
}
