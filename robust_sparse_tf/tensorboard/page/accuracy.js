// Accuracy against the step, against epsilon, and in training against validation.

import * as api from "./api.js";
import { accuracies, chart, grid, line } from "./charts.js";
import { choice, select } from "./controls.js";
import { brief, el, finite, number, panel, percent, section, unique } from "./dom.js";
import { missing } from "./empty.js";
import { marks } from "./marks.js";
import { overfitting } from "./overfitting.js";

const SPLITS = ["test", "validation"];

export async function view(context) {
  const { run, picked } = context;
  const having = picked.filter((each) => each.has.includes("accuracy"));
  const names = unique([...having, ...(run.has.includes("accuracy") ? [run] : [])].map((each) => each.run));
  const found = names.length ? await api.accuracy(names) : {};
  const attacked = picked.filter((each) => each.has.includes("report"));
  const known = await api.reports(attacked.map((each) => each.run));
  const reports = attacked.map((each) => [each, known[each.run]]);
  const own = found[run.run]?.records ?? [];
  return el("div", {},
    section("Against the step", "Clean accuracy beside the accuracy under each attack.",
      Object.keys(found).length ? againstStep(context, having, found) : missing("accuracy", "the runs that are drawn")),
    section("Against epsilon", "From the reports of evaluations, with the intervals of the accuracies.", againstEpsilon(context, reports)),
    section(`Training against validation: ${run.label}`, null, overfitting(context, own)));
}

/** Of a record the examples that accuracies are shown of: the test's where there are some. */
export function heldOut(record) {
  const split = SPLITS.find((each) => record.splits?.[each]);
  return split ? record.splits[split] : null;
}

/** Attacks of records, in the order in which they come. */
export function attacksOf(records) {
  return unique(records.flatMap((record) => Object.keys(heldOut(record)?.robust_accuracy ?? {})));
}

function againstStep(context, having, found) {
  const { run, state, set } = context;
  const isAll = state.axis !== "round";
  const series = having.filter((each) => found[each.run]).map((each) => [each, found[each.run].records]);
  const attacks = attacksOf(series.flatMap(([, records]) => records));
  const shapes = isAll ? marks(series.filter(([each]) => each.group === run.group).flatMap(([, records]) => records)) : {};
  const threats = Object.assign({}, ...series.flatMap(([, records]) => records.slice(-1).map((record) => record.attacks)));
  const panelOf = (title, note, value) => stepChart(context, series, title, note, isAll, shapes, value);
  const charts = [
    panelOf("Clean", null, (split) => split.clean_accuracy),
    ...attacks.map((attack) => panelOf(`Under ${attack}`, threat(threats[attack]), (split) => split.robust_accuracy?.[attack])),
  ];
  return el("div", {},
    el("div", { class: "row controls" },
      choice("Steps", [["all", "Over all rounds"], ["round", "Within the round"]], isAll ? "all" : "round", (axis) => set({ axis })),
      shapes.note ? el("p", { class: "muted" }, shapes.note) : null),
    grid(charts));
}

function threat(attack) {
  return attack ? `${attack.norm ?? "any norm"}, epsilon ${attack.epsilon === null ? "any" : number(attack.epsilon)}` : null;
}

function stepChart(context, series, title, note, isAll, shapes, value) {
  const traces = [];
  const rows = [];
  const ends = [];
  for (const [run, records] of series) {
    const points = records.map((record) => [isAll ? record.step : record.tb_step, heldOut(record), record]).filter(([, split]) => split);
    const y = points.map(([, split]) => finite(value(split)));
    if (!y.some((each) => each !== null)) continue;
    traces.push(line({
      name: run.label, run: run.run, x: points.map(([step]) => step), y, look: context.looks.get(run.run), isChosen: run.run === context.run.run,
      mode: points.length === 1 ? "markers" : "lines",
      hovertemplate: `<b>%{fullData.name}</b><br>step %{x}<br>%{y:.1%}<extra></extra>`,
    }));
    ends[run.run === context.run.run ? "unshift" : "push"](`${run.label} ${percent(value(points.at(-1)[1]))}`);
    rows.push(...points.map(([step, split, record]) => [run.run, record.round, step, record.phase, value(split) ?? null]));
  }
  return chart({
    title, note, traces, height: 280,
    layout: { xaxis: { title: "step" }, yaxis: accuracies(), shapes: shapes.shapes, annotations: shapes.annotations },
    summary: ends.length ? `At the last step: ${brief(ends)}.` : "No accuracy is known.",
    all: api.address("csv", { kind: "accuracy" }), onpick: (name) => context.set({ run: name }),
    data: { columns: ["run", "round", "step", "phase", "accuracy"], rows },
  });
}

function againstEpsilon(context, reports) {
  const { state, set } = context;
  const all = reports.map(([run, { reports: own }]) => [run, own.findLast((report) => report.rows.length)]).filter(([, report]) => report);
  const rows = all.flatMap(([, report]) => report.rows);
  const norms = unique(rows.filter((row) => finite(row.epsilon) !== null).map((row) => row.norm));
  if (!norms.length) return missing("report", "the runs that are drawn");
  const norm = norms.includes(state.norm) ? state.norm : norms[0];
  const attacks = unique(["worst", ...rows.filter((row) => row.norm === norm && finite(row.epsilon) !== null).map((row) => row.attack)]);
  const attack = attacks.includes(state.attack) ? state.attack : "worst";
  const text = (each) => (each === "worst" ? "Worst case over all attacks" : each);
  return el("div", {},
    el("div", { class: "row controls" },
      select("Attack", attacks.map((each) => [each, text(each)]), attack, (each) => set({ attack: each }), "epsilon-attack"),
      norms.length > 1 ? choice("Norm", norms.map((each) => [each, each]), norm, (each) => set({ norm: each })) : null),
    epsilonChart(context, all, attack, norm, text(attack)));
}

function epsilonChart(context, all, attack, norm, title) {
  const traces = [];
  const rows = [];
  const ends = [];
  for (const [run, report] of all) {
    const clean = report.rows.filter((row) => row.attack === "clean").map((row) => ({ ...row, epsilon: 0 }));
    const own = report.rows.filter((row) => row.attack === attack && row.norm === norm && finite(row.epsilon) !== null);
    if (!own.length) continue;
    const points = [...clean, ...own].sort((a, b) => a.epsilon - b.epsilon);
    traces.push(line({
      name: run.label, run: run.run, x: points.map((row) => row.epsilon), y: points.map((row) => finite(row.accuracy)), mode: "lines+markers",
      look: context.looks.get(run.run), isChosen: run.run === context.run.run,
      error_y: {
        type: "data", symmetric: false, thickness: 1.2, width: 4,
        array: points.map((row) => finite(row.high - row.accuracy)), arrayminus: points.map((row) => finite(row.accuracy - row.low)),
      },
      customdata: points.map((row) => `${percent(row.low)} to ${percent(row.high)}`),
      hovertemplate: "<b>%{fullData.name}</b><br>epsilon %{x}<br>%{y:.1%} (%{customdata})<extra></extra>",
    }));
    rows.push(...points.map((row) => [run.run, report.name, attack, norm, row.epsilon, row.accuracy, row.low, row.high]));
    const end = points.at(-1);
    ends[run.run === context.run.run ? "unshift" : "push"](`${run.label} ${percent(end.accuracy)} (${percent(end.low)} to ${percent(end.high)})`);
  }
  if (!traces.length) return panel("hint", "No accuracies", el("p", {}, `No drawn run has a report of ${attack} in ${norm}.`));
  const level = all[0][1].level ?? 0.95;
  return chart({
    title: `${title}, ${norm}`, note: `Bars: ${percent(level, 0)} intervals. Epsilon 0: clean.`, traces, height: 340,
    layout: { xaxis: { title: "epsilon", rangemode: "tozero" }, yaxis: accuracies() },
    summary: `At the largest epsilon: ${brief(ends)}.`,
    onpick: (name) => context.set({ run: name }),
    data: { columns: ["run", "report", "attack", "norm", "epsilon", "accuracy", "low", "high"], rows },
  });
}

