// Rounds and phases as upright lines in a chart over steps.

import { plain } from "./charts.js";
import { unique } from "./dom.js";
import { color } from "./theme.js";

const MOST = 12; // names that fit above a chart

/** Where a round or a phase begins: shapes and annotations for plotly, and a sentence. */
export function marks(records) {
  const ordered = [...records].sort((a, b) => a.step - b.step);
  const starts = [];
  let last = null;
  for (const { round, phase, step } of ordered) {
    if (last && (round !== last.round || phase !== last.phase)) starts.push({ step: last.step, text: name(round, phase, last) });
    last = { round, phase, step };
  }
  if (!starts.length) return {};
  const shapes = starts.map(({ step }) => ({
    type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: color("muted"), width: 1, dash: "dot" },
  }));
  const annotations = starts.length > MOST ? [] : starts.map(({ step, text }) => ({
    x: step, yref: "paper", y: 1, text: plain(text), showarrow: false, xanchor: "left", yanchor: "top", textangle: 90, font: { size: 10.5, color: color("muted") },
  }));
  const names = unique(starts.map(({ text }) => text));
  const some = names.length > 6 ? `${names.slice(0, 6).join(", ")}, …` : names.join(", ");
  return { shapes, annotations, note: `Dotted lines: where ${some} begin${names.length === 1 ? "s" : ""}.` };
}

function name(round, phase, last) {
  const parts = [];
  if (round !== null && round !== last.round) parts.push(`round ${round}`);
  if (phase && phase !== last.phase) parts.push(phase);
  return parts.join(", ") || "another part";
}
