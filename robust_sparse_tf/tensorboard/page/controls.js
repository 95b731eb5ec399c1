// Controls with labels that screen readers read: choices, sliders, tabs.

import { el } from "./dom.js";

let count = 0;

/** A list to choose from: options are [value, text]. */
export function select(label, options, value, onchange, id) {
  const name = id ?? `control-${++count}`;
  return el("div", { class: "control" },
    el("label", { for: name }, label),
    el("select", { id: name, onchange: (event) => onchange(event.target.value) },
      options.map(([each, text]) => el("option", { value: each, selected: each === value }, text))));
}

/** A few choices side by side, of which one is taken. */
export function choice(label, options, value, onchange) {
  const name = `choice-${++count}`;
  return el("fieldset", { class: "choice" }, el("legend", {}, label),
    el("div", { class: "segments" }, options.map(([each, text]) => el("label", {},
      el("input", { type: "radio", name, value: each, id: `choice-${label}-${each}`.replace(/\W+/g, "-"), checked: each === value, onchange: () => onchange(each) }),
      el("span", {}, text)))));
}

/** A slider over values: arrow keys move by one. `text(value)` is what is shown and read out. */
export function slider(label, values, value, text, oninput, id) {
  const at = Math.max(0, values.indexOf(value));
  const output = el("output", { for: id }, text(values[at]));
  const input = el("input", {
    type: "range", id, min: 0, max: Math.max(0, values.length - 1), step: 1, value: at, disabled: values.length < 2, "aria-valuetext": text(values[at]),
    oninput: () => show(Number(input.value)),
  });
  const show = (index, isTold = true) => {
    const chosen = values[index];
    input.value = index;
    output.textContent = text(chosen);
    input.setAttribute("aria-valuetext", text(chosen));
    if (isTold) oninput(chosen);
  };
  const node = el("div", { class: "control slider" }, el("label", { for: id }, label), input, output);
  return { node, input, show };
}

/** Tabs: arrow keys, Home and End move; the tab moved to is shown. */
export function tabs(items, current, onchange) {
  const buttons = items.map(([id, text]) => el("button", {
    type: "button", role: "tab", id: `tab-${id}`, "aria-selected": String(id === current), "aria-controls": "view",
    tabindex: id === current ? 0 : -1, onclick: () => onchange(id),
  }, text));
  const move = (event) => {
    const at = buttons.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = (to + buttons.length) % buttons.length;
    buttons[next].focus();
    onchange(items[next][0]);
  };
  const show = (id) => buttons.forEach((button, index) => {
    const isCurrent = items[index][0] === id;
    button.setAttribute("aria-selected", String(isCurrent));
    button.tabIndex = isCurrent ? 0 : -1;
    if (isCurrent) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  return { node: el("div", { class: "tabs", role: "tablist", "aria-label": "Views", onkeydown: move }, buttons), show };
}
