// What runs were trained with, where it differs between them.

import { unique } from "./dom.js";

const MOST = 3; // settings that are shown; the rest is in the title

/** The names of settings that do not have the same value everywhere. */
export function varying(all) {
  return unique(all.flatMap((each) => Object.keys(each))).filter((name) => unique(all.map((each) => each[name])).length > 1);
}

/** By run: the settings that not all runs share, such as "density=0.1, seed=1". */
export function differences(runs) {
  const names = varying(runs.map((run) => run.hparams ?? {})).filter((name) => name !== "method");
  return new Map(runs.map((run) => {
    const own = names.filter((name) => run.hparams?.[name] !== undefined).map((name) => `${name}=${run.hparams[name]}`);
    const more = own.length > MOST ? ` and ${own.length - MOST} more` : "";
    return [run.run, { short: own.slice(0, MOST).join(", ") + more, all: own.join(", ") }];
  }));
}
