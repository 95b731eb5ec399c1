// Adversarial examples: clean, adversarial and the difference, with the labels before and after.

import * as api from "./api.js";
import { select, slider } from "./controls.js";
import { count, el, number, section, unique } from "./dom.js";
import { missing } from "./empty.js";
import { nearest } from "./masks.js";

const PARTS = [["clean", "Clean"], ["adversarial", "Adversarial"], ["difference", "Difference"]];

export async function view(context) {
  const { run, state, set } = context;
  const title = `Adversarial examples of ${run.label}`;
  const { sets } = run.has.includes("examples") ? await api.examples(run.run) : { sets: [] };
  if (!sets.length) return section(title, null, missing("examples", run.label));
  const attacks = unique(sets.map((each) => each.attack));
  const attack = attacks.includes(state.attack) ? state.attack : attacks[0];
  const ofAttack = sets.filter((each) => each.attack === attack);
  const epsilons = unique(ofAttack.map((each) => key(each.epsilon))).sort((a, b) => (a === "any" ? Infinity : Number(a)) - (b === "any" ? Infinity : Number(b)));
  let epsilon = epsilons.includes(state.epsilon) ? state.epsilon : epsilons.at(-1);
  let step = state.step;
  const shown = el("div", {});
  const draw = () => shown.replaceChildren(...ofOne(run, ofAttack, epsilon, step));
  const steps = unique(ofAttack.map((each) => each.step)).sort((a, b) => a - b);
  draw();
  return section(title, "The difference is enlarged: gray is no change.",
    el("div", { class: "row controls" },
      select("Attack", attacks.map((each) => [each, each]), attack, (each) => set({ attack: each, epsilon: "" }), "examples-attack"),
      slider("Epsilon", epsilons, epsilon, text, (value) => { epsilon = value; set({ epsilon: value }, { quiet: true }); draw(); }, "examples-epsilon").node,
      steps.length > 1 ? slider("Step", steps, nearest(steps, step), number, (value) => { step = value; set({ step: value }, { quiet: true }); draw(); }, "examples-step").node : null),
    shown);
}

const key = (epsilon) => (epsilon === null ? "any" : String(epsilon));
const text = (epsilon) => (epsilon === "any" ? "any" : number(Number(epsilon)));

function ofOne(run, sets, epsilon, step) {
  const own = sets.filter((each) => key(each.epsilon) === epsilon);
  const found = own.find((each) => each.step === nearest(own.map((one) => one.step).sort((a, b) => a - b), step));
  const name = (label) => run.classes?.[label] ?? String(label);
  const fooled = found.items.filter((item) => item.before === item.label && item.after !== item.label).length;
  const size = epsilon === "any" ? `nearest in ${found.norm}` : `${found.norm}, epsilon ${text(epsilon)}`;
  return [
    el("p", { class: "lead", role: "status", id: "examples-summary" }, `${found.attack} (${size}), step ${number(found.step)}: ${fooled} of ${count(found.items.length, "example")} fooled.`),
    el("ul", { class: "examples" }, found.items.map((item, at) => example(run, found, item, at, name))),
  ];
}

function example(run, { tag, step, norm }, item, at, name) {
  const label = name(item.label);
  const verdict = (predicted) => el("strong", { class: predicted === item.label ? "right" : "wrong" }, name(predicted), el("span", { "aria-hidden": "true" }, predicted === item.label ? " ✓" : " ✗"));
  const texts = { clean: `label ${label}, classified as ${name(item.before)}`, adversarial: `classified as ${name(item.after)}`, difference: `enlarged, ${norm} distance ${number(item.distance)}` };
  return el("li", { class: "example" },
    el("div", { class: "images" }, PARTS.map(([part, title]) => el("figure", {},
      el("img", { src: api.address("example", { run: run.run, tag, step, image: at, part }), alt: `${title} image ${at + 1}: ${texts[part]}`, loading: "lazy" }),
      el("figcaption", {}, title)))),
    el("dl", { class: "labels" },
      el("dt", {}, "Label"), el("dd", {}, label),
      el("dt", {}, "Before"), el("dd", {}, verdict(item.before)),
      el("dt", {}, "After"), el("dd", {}, verdict(item.after)),
      el("dt", {}, "Distance"), el("dd", { class: "figures" }, `${number(item.distance)} (${norm})`),
      el("dt", {}, "Enlarged"), el("dd", { class: "figures" }, typeof item.scale === "number" && item.scale > 0 ? `${number(0.5 / item.scale)} times` : "–")));
}
