// Lottery tickets by strategy: means and deviations over trials, which differ in their seed only.

import { address } from "./api.js";
import { accuracies, chart, grid, line } from "./charts.js";
import { brief, density, finite, percent, section, unique } from "./dom.js";
import { varying } from "./settings.js";
import { mean } from "./table.js";
import { look } from "./theme.js";

const SEEDS = /(^|[._])(seed|trial)$/;

/** The sample deviation of values; 0 of one. */
export function deviation(values) {
  const center = mean(values);
  return values.length > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1)) : 0;
}

/** The settings that make a strategy: all but seeds. */
function settings(run) {
  return Object.fromEntries(Object.entries({ method: run.method, attack: run.attack, ...run.hparams }).filter(([name]) => !SEEDS.test(name)));
}

/** Rounds by strategy: [{name, rounds: [runs of the round, one a trial]}]. */
export function strategies(runs) {
  const own = runs.filter((run) => run.round !== null && run.round !== undefined);
  const found = new Map();
  for (const run of own) {
    const key = JSON.stringify(Object.entries(settings(run)).sort());
    if (!found.has(key)) found.set(key, { settings: settings(run), rounds: new Map() });
    const { rounds } = found.get(key);
    rounds.set(run.round, [...(rounds.get(run.round) ?? []), run]);
  }
  const all = [...found.values()];
  const differing = varying(all.map((each) => each.settings));
  return all.map((each) => ({
    name: differing.map((name) => (name === "method" || name === "attack" ? each.settings[name] : `${name}=${each.settings[name]}`)).join(", ") || each.settings.method || "tickets",
    rounds: [...each.rounds].sort(([a], [b]) => a - b).map(([, runs]) => runs),
  }));
}

/** Charts of the tickets' accuracies against their density; null where there are no rounds. */
export function tickets(context) {
  const all = strategies(context.runs).filter((each) => each.rounds.length > 1);
  if (!all.length) return null;
  const attacks = unique(context.runs.filter((run) => run.round !== null).flatMap((run) => Object.keys(run.robust ?? {})));
  const charts = [
    ofStrategies(context, all, "Clean", (run) => run.clean),
    ...attacks.map((attack) => ofStrategies(context, all, `Under ${attack}`, (run) => run.robust?.[attack])),
  ];
  return section("Lottery tickets by strategy", "Accuracies by density: means over trials, which differ in their seed only; bars are standard deviations.", grid(charts.filter(Boolean)));
}

function ofStrategies(context, all, title, value) {
  const rows = [];
  const ends = [];
  const traces = all.map(({ name, rounds }, at) => {
    const points = rounds.map((runs) => runs.filter((run) => finite(value(run) ?? null) !== null && finite(run.density) !== null)).filter((runs) => runs.length)
      .map((runs) => ({ round: runs[0].round, n: runs.length, density: mean(runs.map((run) => run.density)), mean: mean(runs.map(value)), deviation: deviation(runs.map(value)) }));
    if (!points.length) return null;
    rows.push(...points.map((point) => [name, point.round, point.density, point.mean, point.deviation, point.n]));
    const end = points.at(-1);
    ends.push(`${name}: ${percent(end.mean)} ± ${(100 * end.deviation).toFixed(1)} at density ${density(end.density)} (${end.n === 1 ? "1 trial" : `${end.n} trials`})`);
    return line({
      name, x: points.map((point) => point.density), y: points.map((point) => point.mean), mode: "lines+markers", look: look(at),
      error_y: { type: "data", array: points.map((point) => point.deviation), thickness: 1.2, width: 4 },
      customdata: points.map((point) => `round ${point.round}, ${point.n === 1 ? "1 trial" : `${point.n} trials`}`),
      hovertemplate: "<b>%{fullData.name}</b><br>density %{x:.2%}<br>%{y:.1%}<br>%{customdata}<extra></extra>",
    });
  }).filter(Boolean);
  if (!traces.length) return null;
  return chart({
    title, traces, height: 320, summary: `Last tickets: ${brief(ends)}.`,
    layout: { xaxis: { title: "density", type: "log", autorange: "reversed", tickformat: ".3~p", dtick: "D2" }, yaxis: accuracies(rows.flatMap(([, , , center, spread]) => [center - spread, center + spread])), legend: {} },
    all: address("csv", { kind: "runs" }), data: { columns: ["strategy", "round", "density", "mean", "deviation", "trials"], rows },
  });
}
