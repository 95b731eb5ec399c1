// Charts: plotly in the page's colours, each with a sentence that says what it shows, its data as a
// table, and PNG, SVG and CSV.

import { el, number } from "./dom.js";
import { csv, download, downloadText, slug } from "./save.js";
import { color } from "./theme.js";

const SHOWN_ROWS = 200;
let library = null;

/** Plotly, loaded once: a classic script of this server. */
function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: new URL("plotly.min.js", import.meta.url).href });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => {
      library = null;
      reject(new Error("plotly.min.js cannot be loaded: is the package plotly installed?"));
    });
    document.head.append(script);
  });
  return library;
}

/** Text for plotly, which takes some markup in names and labels: none of it is meant here. */
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");
}

function axis(own = {}) {
  const line = color("line");
  const { title, ...rest } = own;
  return {
    gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line, automargin: true,
    title: { text: title ?? "", font: { size: 12, color: color("muted") }, standoff: 8 },
    tickfont: { size: 11.5, color: color("muted") },
    ...rest,
  };
}

/** An axis of accuracies: all of them, or what is around the values. */
export function accuracies(values) {
  if (!values) return { tickformat: ".0%", range: [0, 1.02] };
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = Math.max(0.02, 0.1 * (high - low));
  return { tickformat: ".3~p", range: [Math.max(-0.02, low - room), Math.min(1.02, high + room)] };
}

function styled({ xaxis, yaxis, legend, ...layout }, height) {
  return {
    height, autosize: true, margin: { l: 48, r: 16, t: 12, b: 44 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 12, color: color("text") },
    hovermode: "closest", hoverdistance: 30, showlegend: Boolean(legend),
    hoverlabel: { bgcolor: color("raised"), bordercolor: color("line"), font: { color: color("text"), size: 12.5 }, align: "left", namelength: -1 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, ...legend },
    dragmode: false, xaxis: axis(xaxis), yaxis: axis(yaxis), ...layout,
  };
}

/**
 * A figure.
 *
 * traces: plotly's; `meta: {run}` names the run that a click picks.
 * data: {columns, rows}, what is drawn, for the table and the CSV.
 * all: address of the same for all runs, as one CSV.
 */
export function chart({ title, note, summary, traces, layout = {}, height = 300, data, all, onpick }) {
  const plot = el("div", { class: "plot", role: "img", "aria-label": `${title}. ${summary}`, style: { height: `${height}px` } });
  const name = slug(title);
  const image = async (format) => {
    const Plotly = await plotly();
    const { width } = plot.getBoundingClientRect();
    const ground = { ...plot.layout, paper_bgcolor: color("bg"), title: { text: plain(title), font: { size: 15 } }, margin: { ...plot.layout.margin, t: 48 } };
    const options = { format, width: Math.max(640, width), height: height + 40, scale: format === "png" ? 2 : 1 };
    download(`${name}.${format}`, await Plotly.toImage({ data: plot.data, layout: ground }, options));
  };
  const button = (text, help, call) => el("button", { type: "button", class: "quiet", "aria-label": `${help}: ${title}`, title: help, onclick: call }, text);
  const figure = el("figure", { class: "chart" },
    el("div", { class: "chart-head" },
      el("figcaption", {}, el("h3", {}, title)),
      el("div", { class: "tools" },
        button("PNG", "Save as PNG", () => image("png")),
        button("SVG", "Save as SVG", () => image("svg")),
        button("CSV", "Save what is shown as CSV", () => downloadText(`${name}.csv`, csv(data.columns, data.rows), "text/csv")),
        all ? el("a", { class: "quiet", href: all, download: `${name}-all-runs.csv`, title: "Save the data of all runs as CSV", "aria-label": `Save the data of all runs as CSV: ${title}` }, "All runs") : null)),
    note ? el("p", { class: "note" }, note) : null,
    plot,
    alternative(summary, data));
  drawWhenSeen(plot, traces, layout, height, onpick);
  return figure;
}

function alternative(summary, { columns, rows }) {
  const details = el("details", { class: "data" }, el("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const line = (row, tag) => el("tr", {}, row.map((cell) => el(tag, tag === "th" ? { scope: "col" } : { class: typeof cell === "string" ? "" : "num" }, number(cell))));
    const more = rows.length > SHOWN_ROWS ? el("p", { class: "muted" }, `The first ${SHOWN_ROWS} of ${rows.length} rows. The CSV has all.`) : null;
    details.append(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Data of the chart" },
      el("table", { class: "table small" }, el("thead", {}, line(columns, "th")), el("tbody", {}, rows.slice(0, SHOWN_ROWS).map((row) => line(row, "td"))))), ...(more ? [more] : []));
  });
  return details;
}

function drawWhenSeen(plot, traces, layout, height, onpick) {
  let drawn = null;
  const observer = new ResizeObserver(async () => {
    if (!plot.isConnected) return observer.disconnect();
    if (!plot.clientWidth) return;
    try {
      const Plotly = await plotly();
      if (drawn) return drawn.then(() => plot.isConnected && Plotly.Plots.resize(plot));
      drawn = Plotly.newPlot(plot, traces, styled(layout, height), { displayModeBar: false, responsive: false, doubleClick: "reset" });
      await drawn;
      plot.dataset.drawn = "yes";
      plot.on("plotly_click", (event) => {
        const run = event.points[0]?.data.meta?.run;
        if (run !== undefined && onpick) onpick(run);
      });
    } catch (error) {
      observer.disconnect();
      plot.replaceChildren(el("p", { class: "muted" }, error.message));
    }
  });
  observer.observe(plot);
}

/** Frees what plotly keeps of the charts in an element. */
export function clear(root) {
  if (!window.Plotly) return;
  for (const plot of root.querySelectorAll(".plot[data-drawn]")) window.Plotly.purge(plot);
}

/** A line of one run: thick where it is looked at. */
export function line({ name, run, x, y, look, isChosen, isOther, mode = "lines", ...rest }) {
  return {
    type: "scatter", mode, name: plain(name), x, y, meta: { run }, connectgaps: false,
    line: { color: look.color, dash: look.dash, width: isChosen ? 3.5 : 1.75 },
    marker: { color: look.color, symbol: look.symbol, size: isChosen ? 8 : 6 },
    opacity: isOther ? 0.5 : 1,
    ...rest,
  };
}

/** Charts side by side, as many as fit. */
export function grid(...charts) {
  return el("div", { class: "grid" }, charts);
}

