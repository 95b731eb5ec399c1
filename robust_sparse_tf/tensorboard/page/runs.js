// All runs as a table.

import { address } from "./api.js";
import { bytes, compact, count, density, el, finite, number, percent, section, unique } from "./dom.js";
import { box, expander, filterBox, groupName, matching, runName, swatch } from "./picker.js";
import { differences } from "./settings.js";
import { table } from "./table.js";

export function view(context) {
  const { state, set } = context;
  const shown = matching(context.runs, state.filter);
  const sum = `${count(context.runs.length, "run")}, ${context.picked.length} drawn in the charts`;
  const groups = unique(shown.map((run) => run.group)).filter((group) => shown.filter((run) => run.group === group).length > 1);
  const isAllClosed = groups.length > 0 && groups.every((group) => state.closed.includes(group));
  return section("Runs", state.filter ? `${shown.length} of ${sum}.` : `${sum}.`,
    el("div", { class: "row controls" },
      filterBox(context, "filter"),
      groups.length ? el("button", { type: "button", id: "collapse", onclick: () => set({ closed: isAllClosed ? [] : groups }) }, isAllClosed ? "Expand groups" : "Collapse groups") : null,
      el("a", { class: "button", href: address("csv", { kind: "runs" }), download: "runs.csv", id: "csv-runs" }, "Save all runs as CSV")),
    shown.length
      ? table({
        caption: "Runs", columns: columns(context, shown), rows: shown, sort: state.sort, onsort: (sort) => set({ sort }),
        groups: { of: (run) => run.group, closed: state.closed },
        rowClass: (run) => (context.run?.run === run.run ? "focus" : ""),
      })
      : el("p", { class: "muted" }, "No run matches the filter."),
    el("p", { class: "muted foot" }, `Accuracies are those of the last step, on the ${splits(context.runs).join(" or ") || "test"} examples. A group shows means.`));
}

const splits = (runs) => unique(runs.map((run) => run.split).filter(Boolean));

function columns(context, shown) {
  const attacks = unique(shown.flatMap((run) => Object.keys(run.robust ?? {})));
  const id = (run) => context.runs.indexOf(run);
  const num = (key, title, help, value, format, ofGroup = true) => ({ key, title, help, kind: "num", value, cell: (_, v) => format(v), ofGroup });
  const isMixed = splits(context.runs).length > 1;
  const settings = differences(shown);
  const some = (value) => shown.some((run) => value(run) !== null && value(run) !== undefined);
  const measured = (key, title, help, value, format) => (some(value) ? [num(key, title, help, value, format)] : []);
  return [
    {
      key: "pick", title: "Drawn in the charts", class: "pick", cell: (run) => box(context, [run], `Draw ${run.label}`, `pick-${id(run)}`),
      groupCell: (unit) => box(context, unit.rows, `Draw the group ${groupName(unit)}`, `pick-group-${id(unit.rows[0])}`),
    },
    {
      key: "label", title: "Run", kind: "text name", value: (run) => run.label, cell: (run, _, isInside) => name(context, run, id(run), isMixed, isInside, settings.get(run.run)),
      groupCell: (unit, isClosed) => el("span", { class: "lines" }, expander(context, unit, isClosed, `group-${id(unit.rows[0])}`), differs(settings.get(unit.rows[0].run))),
    },
    { key: "method", title: "Method", kind: "text", value: (run) => run.method, cell: (_, v) => v || "–" },
    num("density", "Density", "Fraction of the weights that are kept", (run) => run.density, density),
    ...measured("active", "Weights", "Weights that are kept", (run) => run.active, compact),
    ...measured("madds", "Multiply-adds", "Multiply-adds of one example, with the zeros left out", (run) => run.multiply_accumulates, compact),
    ...measured("bytes", "Size", "Bytes of the weights that are kept", (run) => run.bytes, bytes),
    accuracy("clean", "Clean", "Accuracy without attack", (run) => run.clean),
    ...attacks.map((attack) => accuracy(`robust:${attack}`, attack, `Accuracy under ${attack}`, (run) => run.robust?.[attack])),
    ...(shown.some((run) => worst(run) !== null) ? [accuracy("worst", "Worst case", "Accuracy under all attacks of the last report, at its largest epsilon", worst)] : []),
    ...measured("r_2", "r₂", "Mean distance to the decision boundary in l2", margin, number),
    { key: "warnings", title: "Checks", help: "Checks that the robustness is real", kind: "text badges", value: (run) => run.checks?.failed?.length ?? null, cell: (run) => badges(context, run) },
    num("step", "Step", "The last step", (run) => run.step, number, false),
  ];
}

function accuracy(key, title, help, value) {
  return {
    key, title, help, kind: "num", value, ofGroup: true,
    cell: (_, v) => (typeof v === "number" ? el("span", { class: "bar", style: { "--part": `${100 * Math.min(1, Math.max(0, v))}%` } }, percent(v)) : number(v)),
  };
}

/** r_2, by the strongest of the attacks that measured it. */
function margin(run) {
  const values = Object.entries(run.numbers ?? {}).filter(([name]) => /^r_2(_|$)/.test(name)).map(([, value]) => value);
  const known = values.filter((value) => finite(value) !== null);
  return known.length ? Math.min(...known) : values[0] ?? null;
}

/** Accuracy in the worst case of the last report, at its largest epsilon; or null. */
export function worst(run) {
  const rows = run.reports?.findLast((report) => report.worst?.length)?.worst ?? [];
  return rows.length ? rows.reduce((a, b) => (b.epsilon >= a.epsilon ? b : a)).accuracy : null;
}

function name(context, run, id, isMixed, isInside, settings) {
  return el("span", { class: "named" },
    swatch(context, run, `color-${id}`),
    el("span", { class: "lines" },
      el("button", { type: "button", class: "name", id: `name-${id}`, title: `Look at ${run.run}`, "aria-label": run.label, onclick: () => context.set({ run: run.run, view: "topology" }) }, runName(run, isInside)),
      isInside ? null : differs(settings)),
    isMixed && run.split ? el("span", { class: "badge" }, run.split) : null);
}

/** A line of the settings in which a run differs from others. */
function differs(settings) {
  return settings.short ? el("span", { class: "settings muted", title: settings.all }, settings.short) : null;
}

function badges(context, run) {
  const { failed = [], passed = 0, not_run: skipped = 0 } = run.checks ?? {};
  const look = () => context.set({ run: run.run, view: "checks" });
  const ran = failed.length + passed;
  const badge = (kind, text, help) => el("button", { type: "button", class: `badge ${kind}`, title: help, onclick: look }, text);
  const notes = run.notes ?? [];
  return [
    failed.length ? badge("bad", `${failed.length} failed`, failed.join(", ")) : null,
    passed ? badge("good", `${passed} of ${ran + skipped} passed`, `${skipped} not run`) : null,
    !ran && skipped ? badge("", "not run", `${count(skipped, "check")} not run`) : null,
    notes.length ? badge("warn", count(notes.length, "note"), notes.join("\n")) : null,
  ];
}
