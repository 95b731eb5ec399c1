// Masks as pixels: read from the PNG, drawn in the page's colours.

import { color } from "./theme.js";

const EDGE = 6; // pixels on the screen, of the marks of empty rows and columns
const WIDEST = 1100;
const HIGHEST = 560;

/** The gray values of a PNG: {width, height, values}. */
export async function pixels(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error("The server has no such mask.");
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, values: Uint8Array.from({ length: width * height }, (_, at) => data[4 * at]) };
}

/** Fraction of the weights kept; blocks count by their gray. */
export function kept({ values }) {
  return values.reduce((sum, value) => sum + value, 0) / (255 * values.length);
}

/** Rows and columns that keep nothing. */
export function dead({ width, height, values }) {
  const rows = new Uint8Array(height);
  const columns = new Uint8Array(width);
  values.forEach((value, at) => {
    if (!value) return;
    rows[Math.floor(at / width)] = 1;
    columns[at % width] = 1;
  });
  const empty = (flags) => [...flags.keys()].filter((at) => !flags[at]);
  return { rows: empty(rows), columns: empty(columns) };
}

/** A CSS colour as [red, green, blue]. */
function channels(name) {
  const hex = color(name);
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function mix(from, to, part) {
  return from.map((each, at) => Math.round(each + (to[at] - each) * part));
}

/** Draws pixels, and marks beside empty rows and columns. */
function draw(canvas, { width, height }, empty, colorAt) {
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at++) image.data.set([...colorAt(at), 255], 4 * at);
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(image, 0, 0);
  const fit = Math.min(WIDEST / width, HIGHEST / height, 16);
  const scale = fit >= 1 ? Math.floor(fit) : fit;
  canvas.width = Math.ceil(width * scale) + 2 * EDGE;
  canvas.height = Math.ceil(height * scale) + 2 * EDGE;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale < 1;
  context.drawImage(small, 2 * EDGE, 2 * EDGE, width * scale, height * scale);
  context.fillStyle = color("empty");
  for (const row of empty.rows) context.fillRect(0, 2 * EDGE + row * scale, EDGE, Math.max(1, scale));
  for (const column of empty.columns) context.fillRect(2 * EDGE + column * scale, 0, Math.max(1, scale), EDGE);
}

/** A mask. */
export function paint(canvas, image) {
  const [none, all] = [channels("dropped"), channels("kept")];
  draw(canvas, image, dead(image), (at) => mix(none, all, image.values[at] / 255));
}

/** Two masks of one size: the fractions that both keep, and that only one does. */
export function difference(canvas, here, there) {
  const [none, all, first, second] = ["dropped", "kept", "only-here", "only-there"].map(channels);
  const sums = { both: 0, here: 0, there: 0 };
  const n = here.values.length;
  for (let at = 0; at < n; at++) {
    const [a, b] = [here.values[at] / 255, there.values[at] / 255];
    sums.both += Math.min(a, b) / n;
    sums.here += Math.max(0, a - b) / n;
    sums.there += Math.max(0, b - a) / n;
  }
  draw(canvas, here, dead(here), (at) => {
    const [a, b] = [here.values[at] / 255, there.values[at] / 255];
    return mix(mix(none, all, Math.min(a, b)), a > b ? first : second, Math.abs(a - b));
  });
  return sums;
}
