// Is it real? The checks for gradient masking, with their evidence.

import * as api from "./api.js";
import { el, number, percent, section, unique } from "./dom.js";
import { missing } from "./empty.js";

const KINDS = { passed: ["good", "✓"], failed: ["bad", "✗"], "not run": ["", "–"] };

export async function view(context) {
  const { run } = context;
  const having = context.picked.filter((each) => each.has.includes("report"));
  const asked = unique([...having, ...(run.has.includes("report") ? [run] : [])]);
  const known = await api.reports(asked.map((each) => each.run));
  const all = asked.map((each) => [each, known[each.run]]);
  const own = all.find(([each]) => each === run)?.[1];
  const title = `Is the robustness of ${run.label} real?`;
  return el("div", {},
    own?.reports.length
      ? own.reports.toReversed().map((report) => ofReport(title, report))
      : section(title, null, missing("report", run.label)),
    own?.measures.length ? section("Other measures", "What was measured apart from attacks.", measures(own.measures)) : null,
    having.length > 1 ? section("All runs that are drawn", "The last outcome of each check.", matrix(context, all.filter(([each]) => having.includes(each)))) : null,
    (run.notes ?? []).length ? section("What could not be read", null, el("ul", { class: "bullets" }, run.notes.map((note) => el("li", {}, note)))) : null);
}

const words = (name) => name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());

export function badge(status) {
  const [kind, sign] = KINDS[status] ?? ["warn", "?"];
  return el("span", { class: `badge ${kind}` }, el("span", { "aria-hidden": "true" }, `${sign} `), status);
}

function ofReport(title, report) {
  const checks = report.checks ?? [];
  const n = (status) => checks.filter((check) => check.status === status).length;
  const verdict = !checks.length ? "No check was run." : n("failed")
    ? `${n("failed")} of ${checks.length} checks failed: the accuracies under attack may be too high.`
    : `${n("passed")} of ${checks.length} checks passed${n("not run") ? `, ${n("not run")} not run` : ""}: nothing speaks against the accuracies.`;
  const order = ["failed", "not run", "passed"];
  const sorted = checks.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const of = report.rows.length ? `Report ${report.name}: ${number(report.examples)} ${report.split} examples, at step ${number(report.step)}.` : `${report.name}, at step ${number(report.step)}.`;
  return section(title, `${of} ${verdict}`,
    el("ul", { class: "checks" }, sorted.map(card)),
    report.warnings?.length ? el("div", { class: "panel warnings" }, el("h3", {}, "Warnings of the report"), el("ul", { class: "bullets" }, report.warnings.map((warning) => el("li", {}, warning)))) : null,
    report.rows.length ? rows(report) : null);
}

function card(check) {
  const [kind] = KINDS[check.status] ?? ["warn"];
  const hasFailed = check.status === "failed";
  const line = (term, text) => (text ? [el("dt", {}, term), el("dd", {}, text)] : []);
  return el("li", { class: `check ${kind}` },
    el("div", { class: "row" }, el("h3", {}, words(check.name)), badge(check.status)),
    el("dl", {}, line(check.status === "not run" ? "Why not" : "Found", check.evidence), line(hasFailed ? "Means" : "If failed", check.meaning), line(hasFailed ? "To do" : "Then", check.advice)));
}

function rows(report) {
  const columns = ["attack", "norm", "epsilon", "accuracy", "low", "high", "distance", "queries"];
  const cell = (row, name) => (["accuracy", "low", "high"].includes(name) ? percent(row[name]) : name === "epsilon" && row.norm && row.epsilon === null ? "any" : number(row[name]));
  return el("details", { class: "data table-of-report" }, el("summary", {}, "The table of the report"),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table of the report ${report.name}` }, el("table", { class: "table small" },
      el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col", class: ["attack", "norm"].includes(name) ? "" : "num" }, name)))),
      el("tbody", {}, report.rows.map((row) => el("tr", {}, columns.map((name) => el("td", { class: ["attack", "norm"].includes(name) ? "" : "num" }, cell(row, name)))))))));
}

function measures(all) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Other measures" }, el("table", { class: "table small" },
    el("thead", {}, el("tr", {}, ["From", "Images", "Measure", "Value"].map((name, at) => el("th", { scope: "col", class: at % 2 ? "num" : "" }, name)))),
    el("tbody", {}, all.flatMap((each) => Object.entries(each.numbers).map(([name, value]) => el("tr", {},
      el("td", {}, each.name), el("td", { class: "num" }, number(each.images)), el("td", {}, name), el("td", { class: "num" }, number(value))))),
    all.flatMap((each) => (each.warnings ?? []).map((warning) => el("tr", {}, el("td", { colspan: 4 }, el("span", { class: "badge warn" }, "warning"), " ", warning)))))));
}

function matrix(context, all) {
  const found = all.map(([run, { reports }]) => [run, reports.toReversed().flatMap((report) => report.checks ?? [])]);
  const names = unique(found.flatMap(([, checks]) => checks.map((check) => check.name)));
  if (!names.length) return el("p", { class: "muted" }, "No run has checks.");
  const cell = (checks, name) => {
    const check = checks.find((each) => each.name === name);
    return el("td", { title: check?.evidence }, check ? badge(check.status) : "–");
  };
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Checks of all runs" }, el("table", { class: "table small" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), names.map((name) => el("th", { scope: "col" }, words(name))))),
    el("tbody", {}, found.map(([run, checks]) => el("tr", { class: run === context.run ? "focus" : "" },
      el("td", {}, el("button", { type: "button", class: "name", onclick: () => context.set({ run: run.run }) }, run.label)), names.map((name) => cell(checks, name)))))));
}

