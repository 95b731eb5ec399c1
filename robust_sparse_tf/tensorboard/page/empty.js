// What is shown without data: how to write some.

import { el, panel } from "./dom.js";

const FIT = `import robust_sparse_tf as rst

model.fit(
    train,
    epochs=10,
    callbacks=[
        rst.callbacks.SparsityLog("runs/mine"),
        rst.callbacks.RobustnessLog("runs/mine", validation, {"pgd": rst.attacks.PGD(epsilon=0.1)}),
    ],
)`;
const RUN = "python -m experiments.run --flagfile=experiments/flagfiles/quickstart.flags";

function code(text, label) {
  return el("pre", { tabindex: 0, "aria-label": label }, el("code", {}, text));
}

/** No run at all. */
export function empty(message) {
  return panel("hint", "There is nothing to show yet",
    message ? el("p", { id: "message" }, message) : null,
    el("p", {}, "Log from your own training, with the callbacks of robust_sparse_tf:"),
    code(FIT, "Code that logs from fit"),
    el("p", {}, "or train from the shell; every run and sweep writes the same log:"),
    code(RUN, "Command that trains and logs"),
    el("p", { class: "muted" }, "New data is shown within half a minute, or with Reload."));
}

const WRITES = {
  topology: ["the topology", 'rst.callbacks.SparsityLog("runs/mine")'],
  masks: ["masks", 'rst.callbacks.SparsityLog("runs/mine", masks_every=10)'],
  accuracy: ["accuracies", 'rst.callbacks.RobustnessLog("runs/mine", validation, {"pgd": rst.attacks.PGD(epsilon=0.1)})'],
  report: ["a report", "python -m experiments.evaluate --model=runs/RUN --attacks=standard"],
  examples: ["adversarial examples", "python -m experiments.evaluate --model=runs/RUN --attacks=standard"],
};

/** Runs, but not this. */
export function missing(kind, subject) {
  const [what, text] = WRITES[kind];
  return panel("hint", `No ${what.replace(/^(the|a) /, "")} here`,
    el("p", {}, `The log of ${subject} does not have ${what}. This writes it:`), code(text, "What writes it"));
}
