// What is shown: kept in the URL, so that a view can be shared and a reload restores it.
// Inside TensorBoard the page is an iframe; the URL that people copy is then the one around it.

const PREFIX = "sr.";
const PLUGIN = "sparsity_robustness";

const DEFAULTS = {
  view: "runs",
  runs: null, // names of the picked runs; null: the first ones
  run: "", // the run that is looked at closely
  layer: "",
  step: null, // null: the last one
  sort: "", // a column, with "-" before it where the largest value is first
  filter: "",
  closed: [], // groups that are collapsed
  colors: {}, // a run's own colour
  attack: "",
  norm: "",
  axis: "all", // steps over all rounds, or within the round
  lines: "runs", // topology: a line a run, or a line a layer
  compare: "", // masks: "step" or the name of a run
  other: null, // the other step
  epsilon: "",
  scale: "log", // of the costs in the trade-offs
};

function isOurs(value, fallback) {
  if (value === null || fallback === null) return value === null || ["number", "object"].includes(typeof value);
  return typeof value === typeof fallback && Array.isArray(value) === Array.isArray(fallback);
}

function parts(hash) {
  return hash.replace(/^#/, "").split("&").filter(Boolean);
}

/** The state that a URL's fragment names; what it does not, or names wrongly, has its default. */
export function parse(hash) {
  const state = structuredClone(DEFAULTS);
  for (const part of parts(hash)) {
    const [name, text] = part.split("=");
    if (text === undefined) continue;
    try {
      const key = decodeURIComponent(name);
      if (!key.startsWith(PREFIX)) continue;
      const known = key.slice(PREFIX.length);
      if (!Object.hasOwn(DEFAULTS, known)) continue;
      const plain = decodeURIComponent(text);
      const value = typeof DEFAULTS[known] === "string" ? plain : JSON.parse(plain);
      if (isOurs(value, DEFAULTS[known])) state[known] = value;
    } catch {
      // a link that was cut short: the rest of it still counts
    }
  }
  if (state.runs && !Array.isArray(state.runs)) state.runs = null;
  if (typeof state.step !== "number") state.step = null;
  if (typeof state.other !== "number") state.other = null;
  return state;
}

/** A fragment with this state, and with what others keep in it. */
export function format(state, hash, inTensorBoard) {
  const kept = parts(hash).filter((part) => !part.startsWith(encodeURIComponent(PREFIX)));
  if (inTensorBoard && !kept.some((part) => !part.includes("="))) kept.unshift(PLUGIN);
  for (const [key, fallback] of Object.entries(DEFAULTS)) {
    const value = state[key];
    if (JSON.stringify(value) === JSON.stringify(fallback)) continue;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    kept.push(`${encodeURIComponent(PREFIX + key)}=${encodeURIComponent(text)}`);
  }
  return `#${kept.join("&")}`;
}

/** The window whose URL people see: TensorBoard's around the page, or the page's own. */
export function host() {
  try {
    if (window.parent !== window && window.parent.document.body) return window.parent;
  } catch {
    // a page of another origin has us in a frame
  }
  return window;
}

const outer = host();
let current = parse(outer.location.hash);
let listener = () => {};

export function get() {
  return current;
}

/** Changes the state and the URL; the page is drawn again unless this is quiet. */
export function set(change, { quiet = false } = {}) {
  current = { ...current, ...change };
  const hash = format(current, outer.location.hash, outer !== window);
  const url = new URL(outer.location.href);
  url.hash = hash === "#" ? "" : hash;
  outer.history.replaceState(outer.history.state, "", url);
  if (!quiet) listener();
}

/** Calls on every change that is not quiet, and when the URL is changed by hand. */
export function listen(call) {
  listener = call;
  outer.addEventListener("hashchange", changed);
  window.addEventListener("pagehide", () => outer.removeEventListener("hashchange", changed));
}

function changed() {
  const next = parse(outer.location.hash);
  if (JSON.stringify(next) === JSON.stringify(current)) return;
  current = next;
  listener();
}
