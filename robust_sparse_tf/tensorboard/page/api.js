// What the server is asked: relative URLs, answers kept until the next reload.

const BASE = new URL("../", import.meta.url);
const PAGE = 200; // runs in one answer
const AT_ONCE = 50; // runs that are asked for at once: a URL has its limits

let answers = new Map();

export function address(path, parameters = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) url.searchParams.append(name, each);
  }
  return url.href;
}

/** JSON of an address; an error says what the server said. */
function ask(path, parameters) {
  const url = address(path, parameters);
  if (!answers.has(url)) {
    const answer = load(url);
    answers.set(url, answer);
    answer.catch(() => answers.delete(url));
  }
  return answers.get(url);
}

async function load(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error("The server does not answer. Is TensorBoard still running?");
  }
  const text = await response.text();
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`The server answered ${response.status}, and no JSON.`);
  }
  if (!response.ok) throw new Error(content.error ?? `The server answered ${response.status}.`);
  return content;
}

/** Forgets all answers. */
export function forget() {
  answers = new Map();
}

/** All runs, page by page: {runs, message}. */
export async function runs() {
  const first = await ask("runs", { offset: 0, limit: PAGE });
  const rest = [];
  for (let offset = PAGE; offset < first.total; offset += PAGE) rest.push(ask("runs", { offset, limit: PAGE }));
  const pages = await Promise.all(rest);
  return { message: first.message, runs: [first, ...pages].flatMap((page) => page.runs) };
}

/** Accuracies by run: {run: {first_step, records}}. */
export const accuracy = (names) => ofRuns("accuracy", names);

/** Measures of whole networks by run: {run: {steps, network}}. */
export const network = (names) => ofRuns("network", names);

async function ofRuns(path, names) {
  const parts = [];
  for (let first = 0; first < names.length; first += AT_ONCE) {
    parts.push(ask(path, { run: names.slice(first, first + AT_ONCE) }));
  }
  return Object.assign({}, ...(await Promise.all(parts)).map((part) => part.runs));
}

export const topology = (run) => ask("topology", { run });
export const masks = (run) => ask("masks", { run });
export const inputs = (run, layer, step) => ask("inputs", { run, layer, step });

/** By run: reports, the last of each name, those with a table last; and measures, the last of each name. */
export async function reports(names) {
  const found = await ofRuns("reports", names);
  return Object.fromEntries(Object.entries(found).map(([run, own]) => [run, newest(own)]));
}

function newest({ reports: all, measures }) {
  const last = (found) => [...new Map(found.toSorted((a, b) => a.step - b.step).map((each) => [each.name, each])).values()];
  return { reports: last(all).sort((a, b) => Boolean(a.rows.length) - Boolean(b.rows.length) || a.step - b.step), measures: last(measures) };
}

export const examples = (run) => ask("examples", { run });
