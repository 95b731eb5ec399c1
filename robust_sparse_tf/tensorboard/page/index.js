// The page: tabs, the run picker, one view at a time. TensorBoard imports this and calls `render`.

import * as api from "./static/api.js";
import { clear } from "./static/charts.js";
import { tabs } from "./static/controls.js";
import { el, panel } from "./static/dom.js";
import { empty } from "./static/empty.js";
import { looks, picked, picker } from "./static/picker.js";
import * as state from "./static/state.js";
import { follow } from "./static/theme.js";

const VIEWS = [
  ["runs", "Runs"],
  ["topology", "Topology"],
  ["masks", "Masks"],
  ["accuracy", "Accuracy"],
  ["tradeoffs", "Trade-offs"],
  ["checks", "Is it real?"],
  ["examples", "Examples"],
];
const RELOAD_SECONDS = 30;

export function render() {
  prepare();
  const view = el("div", { id: "view", role: "tabpanel", tabindex: -1 });
  const side = el("aside", { id: "side", "aria-label": "Run picker" });
  const status = el("span", { class: "hidden", role: "status" });
  const bar = tabs(VIEWS, viewOf(state.get()), (id) => state.set({ view: id }));
  const reload = el("button", { type: "button", class: "quiet", id: "reload", title: "Load the logs again" }, "Reload");
  document.body.replaceChildren(
    el("header", { class: "top" }, el("h1", {}, "Sparsity & Robustness"), bar.node, reload, status),
    el("div", { class: "body" }, side, el("main", {}, view)));

  let runs = null;
  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    const now = state.get();
    const id = viewOf(now);
    bar.show(id);
    view.setAttribute("aria-labelledby", `tab-${id}`);
    const slow = setTimeout(() => view.classList.add("loading"), 150);
    try {
      runs ??= await api.runs();
      const context = contextOf(runs.runs, now);
      const isPlain = id === "runs" || !runs.runs.length;
      const content = runs.runs.length ? await (await import(`./static/${id}.js`)).view(context) : empty(runs.message);
      if (mine !== turn) return;
      document.body.dataset.view = id;
      keepingPlace(() => {
        side.replaceChildren(...(isPlain ? [] : [picker(context)]));
        show(view, content);
      });
      status.textContent = `${VIEWS.find(([name]) => name === id)[1]} shown`;
    } catch (error) {
      if (mine !== turn) return;
      show(view, panel("error", "This cannot be shown", el("p", {}, error.message),
        el("button", { type: "button", onclick: () => again() }, "Try again")));
    } finally {
      clearTimeout(slow);
      if (mine === turn) view.classList.remove("loading");
    }
  };
  const again = async () => {
    api.forget();
    runs = null;
    await draw();
  };
  reload.addEventListener("click", again);
  state.listen(draw);
  follow(draw);
  watch(() => runs, again);
  if (!turn) draw();
}

function viewOf(now) {
  return VIEWS.some(([id]) => id === now.view) ? now.view : "runs";
}

/** What views are given: all runs, those that are drawn, the one that is looked at. */
function contextOf(runs, now) {
  const drawn = picked(runs, now);
  const run = runs.find((each) => each.run === now.run) ?? drawn[0] ?? runs[0];
  return { runs, picked: drawn, run, looks: looks(runs, now), state: now, set: state.set };
}

function show(view, content) {
  clear(view);
  view.replaceChildren(content);
}

/** Draws anew with the focus, the caret and the scroll where they were. */
function keepingPlace(drawAnew) {
  const { id, selectionStart } = document.activeElement ?? {};
  const isOpen = document.querySelector("details.picker")?.open;
  const scrolled = [...document.querySelectorAll(".scroll, ul.runs")].map((each) => [each.scrollLeft, each.scrollTop]);
  const top = window.scrollY;
  drawAnew();
  const shown = document.querySelector("details.picker");
  if (shown && isOpen !== undefined) shown.open = isOpen;
  [...document.querySelectorAll(".scroll, ul.runs")].forEach((each, index) => each.scrollTo(...(scrolled[index] ?? [0, 0])));
  const next = id && document.getElementById(id);
  if (next && next !== document.activeElement) {
    next.focus({ preventScroll: true });
    if (next.type === "search") next.setSelectionRange(selectionStart, selectionStart);
  }
  window.scrollTo(0, top);
}

/** Looks for new data while the page is seen, and calls where there is some. */
function watch(known, again) {
  setInterval(async () => {
    if (document.hidden || !known() || !document.body.clientWidth) return;
    try {
      const before = JSON.stringify(known());
      api.forget();
      if (JSON.stringify(await api.runs()) !== before) await again();
    } catch {
      // the server stopped: what is shown stays, and Reload says so
    }
  }, RELOAD_SECONDS * 1000);
}

function prepare() {
  document.documentElement.lang = "en";
  document.title = "Sparsity & Robustness";
  document.head.append(
    el("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    el("link", { rel: "stylesheet", href: new URL("./static/style.css", import.meta.url).href }));
}
