// A table that is sorted by its columns, with rows in groups that collapse.

import { el } from "./dom.js";

function compare(a, b) {
  const isNumber = (value) => typeof value === "number" && !Number.isNaN(value);
  if (isNumber(a) && isNumber(b)) return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

const isMissing = (value) => value === null || value === undefined || value === "NaN";

/** Rows by a column; what has no value stays at the end, either way. */
export function sorted(rows, value, isDown) {
  const known = rows.filter((row) => !isMissing(value(row)));
  const rest = rows.filter((row) => isMissing(value(row)));
  known.sort((a, b) => (isDown ? compare(value(b), value(a)) : compare(value(a), value(b))));
  return [...known, ...rest];
}

/** The mean of the finite values, or null. */
export function mean(values) {
  const known = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

/**
 * columns: [{key, title, help, kind: "num" | "text", value(row), cell(row, value, isInside), ofGroup}];
 *   `ofGroup` columns show the mean of a group.
 * groups: {of(row), closed, ontoggle(group), head(group, rows)}; head gives the first cells' content.
 */
export function table({ caption, columns, rows, sort, onsort, groups, rowClass }) {
  const isDown = sort.startsWith("-");
  const key = sort.replace(/^-/, "");
  const column = columns.find((each) => each.key === key);
  const units = grouped(rows, groups).map((unit) => (column ? { ...unit, rows: sorted(unit.rows, column.value, isDown) } : unit));
  const ofUnit = (unit) => (unit.rows.length > 1 && column.kind === "num" ? mean(unit.rows.map(column.value)) : column.value(unit.rows[0]));
  const ordered = column ? sorted(units, ofUnit, isDown) : units;
  const body = ordered.flatMap((unit) => {
    if (unit.rows.length === 1) return [line(unit.rows[0], columns, rowClass, false)];
    const isClosed = groups.closed.includes(unit.name);
    return [head(unit, columns, groups, isClosed), ...(isClosed ? [] : unit.rows.map((row) => line(row, columns, rowClass, true)))];
  });
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: "table" },
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, columns.map((each) => header(each, key, isDown, onsort)))),
      el("tbody", {}, body)));
}

function grouped(rows, groups) {
  const units = new Map();
  for (const row of rows) {
    const name = groups.of(row);
    if (!units.has(name)) units.set(name, { name, rows: [] });
    units.get(name).rows.push(row);
  }
  return [...units.values()];
}

function header(column, key, isDown, onsort) {
  const isSorted = column.key === key;
  const direction = isSorted ? (isDown ? "descending" : "ascending") : null;
  if (!column.value) return el("th", { scope: "col", class: column.class }, el("span", { class: "hidden" }, column.title));
  // Numbers are first sorted with the largest at the top, texts from a to z.
  const next = isSorted ? (isDown ? column.key : `-${column.key}`) : (column.kind === "num" ? `-${column.key}` : column.key);
  return el("th", { scope: "col", class: column.kind, "aria-sort": direction },
    el("button", { type: "button", id: `sort-${column.key}`, title: column.help, onclick: () => onsort(next) },
      column.title, el("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (isDown ? "↓" : "↑") : "")));
}

function line(row, columns, rowClass, isInside) {
  return el("tr", { class: `${rowClass(row)}${isInside ? " inside" : ""}` }, columns.map((column) => el("td", { class: column.class ?? column.kind },
    column.cell(row, column.value?.(row), isInside))));
}

function head(unit, columns, groups, isClosed) {
  const cells = columns.map((column) => {
    if (column.groupCell) return el("td", { class: column.class ?? column.kind }, column.groupCell(unit, isClosed, groups));
    if (!column.ofGroup) return el("td", {});
    const value = mean(unit.rows.map(column.value));
    return el("td", { class: column.kind, title: "mean of the group" }, value === null ? "" : column.cell(null, value));
  });
  return el("tr", { class: "group" }, cells);
}
