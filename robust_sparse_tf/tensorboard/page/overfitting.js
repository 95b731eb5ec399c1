// Training against validation: does robustness that was there get lost again?

import { accuracies, chart, grid, line } from "./charts.js";
import { finite, number, percent } from "./dom.js";
import { missing } from "./empty.js";
import { color, look } from "./theme.js";

// What training may call its accuracies: as objectives of this library, and as a plain fit.
const CLEAN = ["clean_accuracy", "accuracy"];
const ROBUST = ["robust_accuracy", "adversarial_accuracy", "accuracy"];

function first(metrics, names) {
  const name = names.find((each) => finite(metrics?.[each]) !== null);
  return name ? metrics[name] : null;
}

/** Under the strongest of the attacks. */
function robust(split) {
  const values = Object.values(split?.robust_accuracy ?? {}).map(finite);
  return values.length && !values.includes(null) ? Math.min(...values) : null;
}

export function overfitting(context, records) {
  const held = ["validation", "test"].find((name) => records.some((record) => record.splits?.[name]));
  if (!held) return missing("accuracy", context.run.label);
  const points = records.filter((record) => record.splits?.[held] || record.splits?.train);
  const isRobust = points.some((record) => robust(record.splits[held]) !== null);
  const charts = [];
  const compare = (title, names, value) => both(context, points, held, title, (record) => first(record.splits.train, names), (record) => finite(value(record.splits[held])));
  if (isRobust) charts.push(compare("Robust", ROBUST, robust));
  charts.push(compare("Clean", CLEAN, (split) => split?.clean_accuracy ?? null));
  return grid(charts);
}

function both(context, points, held, title, training, heldOut) {
  const steps = points.map((record) => record.step);
  const series = [["training", points.map(training), 1], [held, points.map(heldOut), 0]].filter(([, values]) => values.some((value) => value !== null));
  const traces = series.map(([name, values, at]) => line({
    name, run: context.run.run, x: steps, y: values, look: look(at), isChosen: name === held,
    hovertemplate: "%{fullData.name}<br>step %{x}<br>%{y:.1%}<extra></extra>",
  }));
  const values = points.map(heldOut);
  const best = values.reduce((at, value, index) => (value !== null && (at < 0 || value > values[at]) ? index : at), -1);
  const last = values.findLastIndex((value) => value !== null);
  let summary = "No accuracy is known.";
  let note = null;
  let extra = {};
  if (best >= 0) {
    const lost = values[best] - values[last];
    const isLost = lost > 0.02;
    summary = `Best on ${held} at step ${number(steps[best])}: ${percent(values[best])}. At the last step: ${percent(values[last])}.`;
    note = isLost ? `${(100 * lost).toFixed(1)} points lost since the best step: ${title === "Robust" ? "robust overfitting" : "overfitting"}.` : "No overfitting: the last step is within 2 points of the best.";
    extra = bestStep(steps[best], values[best]);
  }
  return chart({
    title: `${title} accuracy`, note, traces, height: 300, summary,
    layout: { xaxis: { title: "step" }, yaxis: accuracies(), legend: { y: 1 }, ...extra },
    data: {
      columns: ["run", "step", "examples", "accuracy"],
      rows: steps.flatMap((step, at) => series.map(([name, own]) => [context.run.run, step, name, own[at]])),
    },
  });
}

function bestStep(step, value) {
  return {
    shapes: [{ type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, line: { color: color("good"), width: 1.5, dash: "dash" } }],
    annotations: [{ x: step, y: value, text: `best step ${number(step)}`, showarrow: true, arrowhead: 0, arrowcolor: color("good"), ax: 0, ay: 32, font: { color: color("good"), size: 12 }, bgcolor: color("bg") }],
  };
}

