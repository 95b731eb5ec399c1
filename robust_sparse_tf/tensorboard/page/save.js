// Files out: CSV from what is shown, images from charts.

import { el } from "./dom.js";

function quoted(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(columns, rows) {
  return [columns, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

export function download(name, href) {
  const link = el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

export function downloadText(name, text, type) {
  const href = URL.createObjectURL(new Blob([text], { type }));
  download(name, href);
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

/** A name that every file system takes. */
export function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "chart";
}
