// Masks of a layer at a step, what changed to another step or run, and what first layers look at.

import * as api from "./api.js";
import { dead, difference, kept, paint, pixels } from "./bitmaps.js";
import { select, slider } from "./controls.js";
import { count, density, el, number, panel, percent, section } from "./dom.js";
import { missing } from "./empty.js";
import { inputMaps } from "./inputs.js";

const FRAME = 400; // milliseconds that a step is shown while it plays

export async function view(context) {
  const { run, state, set } = context;
  const title = `Masks of ${run.label}`;
  const layers = run.has.includes("masks") ? await inOrder(run) : [];
  if (!layers.length) return section(title, null, missing("masks", run.label));
  const layer = layers.find((each) => each.layer === state.layer) ?? layers[0];
  const step = nearest(layer.steps, state.step);
  const others = context.runs.filter((each) => each.run !== run.run && each.has.includes("masks"));
  const picture = el("div", { class: "mask" });
  const maps = el("div", {});
  let at = step;
  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    try {
      const content = await mask(run, layer, at, state, others);
      if (mine === turn) picture.replaceChildren(...content);
    } catch (error) {
      if (mine === turn) picture.replaceChildren(panel("error", "This mask cannot be shown", el("p", {}, error.message)));
    }
  };
  const move = (value) => {
    at = value;
    set({ step: value === layer.steps.at(-1) ? null : value }, { quiet: true });
    draw();
    if (layer.has_inputs) inputMaps(maps, run, layer, value);
  };
  const steps = slider("Step", layer.steps, step, number, (value) => { stop(); move(value); }, "mask-step");
  const { button, stop } = player(layer.steps, () => at, (value) => { steps.show(layer.steps.indexOf(value), false); return move(value); });
  await draw();
  if (layer.has_inputs) await inputMaps(maps, run, layer, step);
  const lead = "A pixel is a weight, or a block of weights: a row an input, a column an output.";
  return section(title, lead,
    el("div", { class: "row controls" },
      select("Layer", layers.map((each) => [each.layer, each.layer]), layer.layer, (name) => { stop(); set({ layer: name }); }, "mask-layer"),
      steps.node, button,
      select("Compare with", [["", "nothing"], ["step", "another step"], ...others.map((each) => [`run:${each.run}`, each.label])], state.compare, (compare) => { stop(); set({ compare }); }, "mask-compare"),
      state.compare === "step" ? slider("The other step", layer.steps, nearest(layer.steps, state.other ?? layer.steps[0]), number, (other) => { state.other = other; set({ other }, { quiet: true }); draw(); }, "mask-other").node : null),
    el("div", { class: layer.has_inputs ? "beside" : "" }, picture, layer.has_inputs ? inputs(maps) : null));
}

/** The layers with masks, in the network's order where it is known. */
async function inOrder(run) {
  const [{ layers }, { layers: names }] = await Promise.all([api.masks(run.run), run.has.includes("topology") ? api.topology(run.run) : { layers: [] }]);
  return layers.toSorted((a, b) => names.indexOf(a.layer) - names.indexOf(b.layer));
}

function inputs(maps) {
  return el("section", { class: "chart inputs" }, el("h3", {}, "What the layer looks at"),
    el("p", { class: "muted" }, "For each place of the input, the fraction of its outgoing weights that are kept."), maps);
}

/** The step that was logged at or before this one; the last where there is none. */
export function nearest(steps, step) {
  if (step === null) return steps.at(-1);
  return steps.findLast((each) => each <= step) ?? steps[0];
}

function player(steps, now, move) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
    button.setAttribute("aria-pressed", "false");
  };
  const next = () => {
    if (!button.isConnected || now() === steps.at(-1)) return stop();
    move(steps[steps.indexOf(now()) + 1]);
  };
  const start = () => {
    if (now() === steps.at(-1)) move(steps[0]);
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
    timer = setInterval(next, FRAME);
  };
  const button = el("button", { type: "button", id: "play", "aria-pressed": "false", disabled: steps.length < 2, onclick: () => (timer ? stop() : start()) }, "Play");
  return { button, stop };
}

async function mask(run, layer, step, state, others) {
  const image = await pixels(api.address("mask", { run: run.run, layer: layer.layer, step }));
  const other = await compared(run, layer, state, others);
  if (other.error) return [panel("hint", "These masks cannot be compared", el("p", {}, other.error))];
  const [inputs, outputs] = layer.shape;
  const empty = dead(image);
  const isBlock = layer.block.some((size) => size > 1);
  const text = [
    `${layer.layer} at step ${number(step)}: ${count(inputs, "input")} by ${count(outputs, "output")}, ${density(kept(image))} kept.`,
    `${sentence(lines(empty.rows, layer.block[0], inputs, "input", "keeps", "keep"))}; ${lines(empty.columns, layer.block[1], outputs, "output", "keeps", "keep")}.`,
    isBlock ? `A pixel stands for ${layer.block[0]} by ${layer.block[1]} weights.` : "",
  ];
  const canvas = el("canvas");
  const keys = other.image ? difference(canvas, image, other.image) : paint(canvas, image);
  if (other.image) text.push(`Compared with ${other.name}: ${percent(keys.both, 2)} kept in both, ${percent(keys.here, 2)} only here, ${percent(keys.there, 2)} only there.`);
  const summary = text.filter(Boolean).join(" ");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", summary);
  return [el("figure", { class: "chart" },
    el("div", { class: "chart-head" }, legend(Boolean(other.image), other.name), save(layer, step, canvas)),
    el("div", { class: "bitmap" }, canvas),
    el("p", { class: "data", id: "mask-summary" }, summary))];
}

function save(layer, step, canvas) {
  return el("div", { class: "tools" }, el("button", {
    type: "button", class: "quiet", "aria-label": "Save the mask as PNG", onclick: () => {
      const link = el("a", { href: canvas.toDataURL("image/png"), download: `mask-${layer.layer.replace(/[^A-Za-z0-9]+/g, "-")}-${step}.png` });
      link.click();
    },
  }, "PNG"));
}

function legend(isCompared, name) {
  const entry = (color, text) => el("span", {}, el("i", { style: { background: `var(--${color})` } }), text);
  const entries = isCompared
    ? [entry("kept", "kept in both"), entry("only-here", "only here"), entry("only-there", `only in ${name}`), entry("dropped", "pruned in both")]
    : [entry("kept", "kept"), entry("dropped", "pruned")];
  return el("figcaption", { class: "legend" }, entries, entry("empty", "empty row or column"));
}

const sentence = (text) => text.replace(/^./, (letter) => letter.toUpperCase());

function lines(indices, block, n, word, one, many) {
  const found = Math.min(n, indices.length * block);
  if (!found) return `every ${word} keeps a weight`;
  return `${number(found)} of ${count(n, word)} ${found === 1 ? one : many} none`;
}

async function compared(run, layer, state, others) {
  if (state.compare === "step") {
    const step = nearest(layer.steps, state.other ?? layer.steps[0]);
    return { image: await pixels(api.address("mask", { run: run.run, layer: layer.layer, step })), name: `step ${number(step)}` };
  }
  const other = others.find((each) => `run:${each.run}` === state.compare);
  if (!other) return {};
  const { layers } = await api.masks(other.run);
  const same = layers.find((each) => each.layer === layer.layer);
  if (!same) return { error: `${other.label} has no layer ${layer.layer}: its layers are ${layers.map((each) => each.layer).join(", ")}.` };
  if (String(same.shape) !== String(layer.shape)) return { error: `The layer ${layer.layer} has the shape ${same.shape.join(" by ")} in ${other.label}, and ${layer.shape.join(" by ")} here.` };
  const step = same.steps.at(-1);
  return { image: await pixels(api.address("mask", { run: other.run, layer: layer.layer, step })), name: `${other.label} at step ${number(step)}` };
}

