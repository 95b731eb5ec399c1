// Elements, and how values are written. Names and values become text nodes, never markup.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, each] of Object.entries(value)) node.style.setProperty(name, each);
    else if (key === "class") node.className = value;
    else if (["value", "checked", "disabled", "selected", "indeterminate", "open"].includes(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const NONE = "–";

/** A number with four digits; texts such as "NaN" as they are. */
export function number(value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** A fraction as a percentage. */
export function percent(value, digits = 1) {
  return typeof value === "number" ? `${(100 * value).toFixed(digits)} %` : number(value);
}

/** A density: more digits where little is kept. */
export function density(value) {
  return percent(value, typeof value === "number" && value < 0.01 ? 2 : 1);
}

/** A count with k, M or G. */
export function compact(value) {
  if (typeof value !== "number") return number(value);
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= unit) return `${(value / unit).toPrecision(3)} ${letter}`;
  }
  return number(value);
}

export function bytes(value) {
  return typeof value === "number" ? `${compact(value)}B`.replace(/(\d)B$/, "$1 B") : number(value);
}

/** "1 run", "2 runs". */
export function count(n, word) {
  return `${number(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** The number, or null for texts such as "NaN": what a chart leaves out. */
export function finite(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** The first texts as a list, and how many more there are. */
export function brief(texts) {
  const more = texts.length - 3;
  return texts.slice(0, 3).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

export function unique(values) {
  return [...new Set(values)];
}

/** A panel for what is missing or wrong: a title, what it means, what to do. */
export function panel(kind, title, ...children) {
  return el("div", { class: `panel ${kind}`, role: kind === "error" ? "alert" : "note" }, el("h2", {}, title), children);
}

export function section(title, lead, ...children) {
  return el("section", { class: "section" }, el("h2", {}, title), lead ? el("p", { class: "lead" }, lead) : null, children);
}
