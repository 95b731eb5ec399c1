// Masks of first layers as maps of the shape of the input.

import * as api from "./api.js";
import { el, finite, panel, percent } from "./dom.js";
import { color } from "./theme.js";

const CHANNELS = 4; // more of them are shown as their mean
const SIDE = 224; // pixels on the screen

// Cividis, which colour-blind people read as others do: a few of its stops.
const STOPS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function cividis(part) {
  const at = Math.min(STOPS.length - 2, Math.floor(part * (STOPS.length - 1)));
  const rest = part * (STOPS.length - 1) - at;
  return STOPS[at].map((each, channel) => Math.round(each + (STOPS[at + 1][channel] - each) * rest));
}

let turn = 0;

/** Draws the maps of a step into an element; an older call that answers later is left out. */
export async function inputMaps(root, run, layer, step) {
  const mine = ++turn;
  try {
    const { shape, values } = await api.inputs(run.run, layer.layer, step);
    if (mine === turn) root.replaceChildren(...maps(shape, values));
  } catch (error) {
    if (mine === turn) root.replaceChildren(panel("error", "This map cannot be shown", el("p", {}, error.message)));
  }
}

function maps(shape, values) {
  const [height, width, channels] = shape.length === 1 ? [1, shape[0], 1] : [shape[0], shape[1], shape.slice(2).reduce((a, b) => a * b, 1)];
  const known = values.map(finite).filter((value) => value !== null);
  const most = Math.max(...known, 0.001);
  const mean = channels > CHANNELS;
  const planes = Array.from({ length: mean ? 1 : channels }, (_, channel) => Array.from({ length: height * width }, (_, at) => {
    const own = values.slice(at * channels, (at + 1) * channels).map(finite);
    return mean ? own.reduce((sum, value) => sum + (value ?? 0), 0) / channels : own[channel];
  }));
  const name = (channel) => (mean ? `Mean over ${channels} channels` : channels > 1 ? `Channel ${channel}` : "Input");
  return [
    el("div", { class: "row maps" }, planes.map((plane, channel) => map(name(channel), plane, width, height, most))),
    el("div", { class: "scale", "aria-hidden": "true" }, el("span", {}, "0 %"), el("i", { style: { background: `linear-gradient(to right, ${STOPS.map((stop) => `rgb(${stop})`).join(", ")})` } }), el("span", {}, percent(most))),
  ];
}

function map(name, plane, width, height, most) {
  const empty = plane.filter((value) => value === 0).length;
  const all = plane.filter((value) => value !== null);
  const summary = `${name}: ${width} by ${height} places. On average ${percent(all.reduce((a, b) => a + b, 0) / all.length)} of the weights are kept, at most ${percent(Math.max(...all))}; ${empty} ${empty === 1 ? "place keeps" : "places keep"} none.`;
  const canvas = el("canvas", { width, height, role: "img", "aria-label": summary, style: { width: `${Math.round((SIDE * width) / Math.max(width, height))}px`, "aspect-ratio": `${width} / ${height}` } });
  const image = new ImageData(width, height);
  const nothing = [1, 3, 5].map((at) => parseInt(color("empty").slice(at, at + 2), 16));
  plane.forEach((value, at) => image.data.set([...(value === 0 ? nothing : cividis(Math.min(1, (value ?? 0) / most))), value === null ? 0 : 255], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return el("figure", {}, canvas, el("figcaption", { class: "muted" }, summary));
}
