// Light or dark: as TensorBoard is, and as the system asks for where the page runs alone.

import { host } from "./state.js";

const system = window.matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const outer = host();
  const isTensorBoard = outer !== window && outer.document.querySelector("tb-webapp");
  return isTensorBoard ? outer.document.body.classList.contains("dark-mode") : system.matches;
}

/** Sets the theme now and whenever it changes; then calls. */
export function follow(changed) {
  const apply = () => {
    const theme = isDark() ? "dark" : "light";
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    changed();
  };
  apply();
  system.addEventListener("change", apply);
  const outer = host();
  if (outer !== window) {
    const observer = new MutationObserver(apply);
    observer.observe(outer.document.body, { attributes: true, attributeFilter: ["class"] });
    window.addEventListener("pagehide", () => observer.disconnect());
  }
}

/** A colour of style.css by its name. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Okabe and Ito's colours, which colour-blind people can tell apart; without yellow and black, which
// are not seen on one of the two grounds. Further runs get another dash and marker.
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const MARKERS = ["circle", "square", "diamond", "triangle-up", "x"];

/** Colour, dash and marker of the n-th run or layer. */
export function look(index) {
  const turn = Math.floor(index / COLORS.length);
  return { color: COLORS[index % COLORS.length], dash: DASHES[turn % 4], symbol: MARKERS[turn % 5] };
}
