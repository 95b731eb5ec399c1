// The run picker: which runs are drawn, in which colours, and which one is looked at closely.

import { count, el } from "./dom.js";
import { look } from "./theme.js";

export const FIRST = 10; // runs that are picked where the URL names none

/** Runs whose texts have every word of the filter. */
export function matching(runs, filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return runs;
  return runs.filter((run) => {
    const settings = Object.entries(run.hparams ?? {}).map(([name, value]) => `${name}=${value}`);
    const text = [run.run, run.label, run.method, run.attack, run.seed, ...settings].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** The runs that are drawn. */
export function picked(runs, state) {
  if (!state.runs) return runs.slice(0, FIRST);
  const names = new Set(state.runs);
  return runs.filter((run) => names.has(run.run));
}

/** Colour, dash and marker of every run, by name. */
export function looks(runs, state) {
  return new Map(runs.map((run, index) => {
    const own = Object.hasOwn(state.colors, run.run) ? String(state.colors[run.run]) : null;
    return [run.run, { ...look(index), ...(own && /^#[0-9a-f]{6}$/i.test(own) ? { color: own } : {}) }];
  }));
}

/** Picks or drops runs. */
export function toggle(context, names, isPicked) {
  const chosen = new Set(context.picked.map((run) => run.run));
  for (const name of names) isPicked ? chosen.add(name) : chosen.delete(name);
  context.set({ runs: context.runs.map((run) => run.run).filter((name) => chosen.has(name)) });
}

export function box(context, rows, label, id) {
  const chosen = new Set(context.picked.map((run) => run.run));
  const n = rows.filter((run) => chosen.has(run.run)).length;
  return el("input", {
    type: "checkbox", id, "aria-label": label, checked: n === rows.length && n > 0, indeterminate: n > 0 && n < rows.length,
    onchange: (event) => toggle(context, rows.map((run) => run.run), event.target.checked),
  });
}

/** A colour that can be changed. */
export function swatch(context, run, id) {
  return el("input", {
    type: "color", class: "swatch", id, value: context.looks.get(run.run).color, "aria-label": `Colour of ${run.label}`, title: "Change the colour",
    onchange: (event) => context.set({ colors: { ...context.state.colors, [run.run]: event.target.value } }),
  });
}

export function filterBox(context, id) {
  return el("input", {
    type: "search", id, class: "filter", placeholder: "Filter runs", "aria-label": "Filter runs: words in names, methods, attacks and settings", value: context.state.filter,
    oninput: (event) => context.set({ filter: event.target.value }),
  });
}

/** Of a group what its runs' short names have in common. */
export function groupName(unit) {
  return unit.rows[0].label.replace(/\/?round_\d+$/, "") || unit.name || "(no name)";
}

export function expander(context, unit, isClosed, id) {
  const { closed } = context.state;
  const next = isClosed ? closed.filter((name) => name !== unit.name) : [...closed, unit.name];
  return el("button", {
    type: "button", class: "expander", id, "aria-expanded": String(!isClosed), onclick: () => context.set({ closed: next }),
  }, el("span", { class: "chevron", "aria-hidden": "true" }), el("span", { class: "name", title: unit.name }, groupName(unit)), el("span", { class: "muted" }, String(unit.rows.length)));
}

/** A run's short name; inside of its group without the group's. */
export function runName(run, isInside) {
  const inside = isInside ? run.label.match(/round_\d+$/)?.[0] : null;
  return inside ?? (run.label || "(no name)");
}

function entry(context, run, isInside) {
  const isFocus = context.run?.run === run.run;
  const id = `pick-${context.runs.indexOf(run)}`;
  return el("li", { class: `${isInside ? "inside" : ""}${isFocus ? " focus" : ""}` },
    box(context, [run], `Draw ${run.label}`, id),
    swatch(context, run, `${id}-color`),
    el("button", { type: "button", class: "name", id: `${id}-name`, title: run.run, "aria-label": run.label, "aria-pressed": String(isFocus), onclick: () => context.set({ run: run.run }) }, runName(run, isInside)));
}

/** The list beside the charts. */
export function picker(context) {
  const shown = matching(context.runs, context.state.filter);
  const units = new Map();
  for (const run of shown) units.set(run.group, [...(units.get(run.group) ?? []), run]);
  const items = [...units].flatMap(([name, rows], index) => {
    if (rows.length === 1) return [entry(context, rows[0], false)];
    const isClosed = context.state.closed.includes(name);
    const id = `group-${index}`;
    const head = el("li", { class: "group" }, box(context, rows, `Draw the group ${groupName({ name, rows })}`, `${id}-box`), expander(context, { name, rows }, isClosed, id));
    return [head, ...(isClosed ? [] : rows.map((run) => entry(context, run, true)))];
  });
  return el("details", { class: "picker", open: !window.matchMedia("(max-width: 760px)").matches },
    el("summary", {}, `Runs: ${context.picked.length} of ${context.runs.length} drawn`),
    filterBox(context, "picker-filter"),
    el("div", { class: "row" },
      el("button", { type: "button", class: "quiet", id: "pick-all", onclick: () => toggle(context, shown.map((run) => run.run), true) }, context.state.filter ? "Draw these" : "Draw all"),
      el("button", { type: "button", class: "quiet", id: "pick-none", onclick: () => toggle(context, shown.map((run) => run.run), false) }, "None")),
    items.length ? el("ul", { class: "runs" }, items) : el("p", { class: "muted" }, `No run matches. There are ${count(context.runs.length, "run")}.`));
}
