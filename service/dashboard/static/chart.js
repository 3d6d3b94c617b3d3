// The plot: truth, prediction, its interval as a band, and drift alarms as marks.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact/standalone.module.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";
import { isClock } from "./format.js";
import { verticalRange } from "./series.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

// Ticks as uPlot wants them: for steps of at least so many seconds the text, then the text where a new year, month or day
// begins, then what an hour, minute or second adds (nothing), and 1: the second text goes beneath the first.
const DAY = "\n{D} {MMM}";
const TICKS = [
  [3600 * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600 * 24, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", `${DAY} {YYYY}`, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", `${DAY} {YYYY}`, null, DAY, null, null, null, 1],
  [0.001, ":{ss}.{fff}", `${DAY} {YYYY} {HH}:{mm}`, null, `${DAY} {HH}:{mm}`, null, "\n{HH}:{mm}", null, 1],
];

/** The plot's colours are the page's: `--truth`, `--prediction`, ... of style.css. */
function palette(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["truth", "prediction", "band", "drift", "grid", "muted"].map((name) => [name, colour(name)]));
}

/** A dashed line with a flag for each drift alarm, over the whole height. */
function drawDrifts(plot, drifts, colour) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = scale;
  ctx.setLineDash([4 * scale, 4 * scale]);
  for (const { x } of drifts) {
    const left = Math.round(plot.valToPos(x, "x", true));
    if (left < bbox.left || left > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left + 9 * scale, bbox.top + 4.5 * scale);
    ctx.lineTo(left, bbox.top + 9 * scale);
    ctx.fill();
  }
  ctx.restore();
}

function options(element, latest, colours, clock, onCursor) {
  const axis = {
    stroke: colours.muted,
    grid: { stroke: colours.grid, width: 1 },
    ticks: { stroke: colours.grid, width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
  };
  const line = (stroke, extra) => ({ stroke, width: 1.75, spanGaps: false, points: { show: false }, ...extra });
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: clock }, y: { range: () => verticalRange(latest.current) } },
    axes: [{ ...axis, space: 70, ...(clock && { values: TICKS }) }, { ...axis, size: 56 }],
    series: [
      {},
      line("transparent", { width: 0 }),
      line("transparent", { width: 0 }),
      line(colours.truth),
      line(colours.prediction, { dash: [6, 3] }),
    ],
    bands: [{ series: [2, 1], fill: colours.band }],
    hooks: {
      draw: [(plot) => drawDrifts(plot, latest.current.drifts, colours.drift)],
      setCursor: [(plot) => onCursor(plot.cursor.idx)],
    },
  };
}

/** Plot of what `align` returns. `onCursor(index | null)` tells which sample the pointer or the arrow keys are at. */
export function Chart({ series, label, onCursor }) {
  const box = useRef(null);
  const plot = useRef(null);
  const latest = useRef(series);
  latest.current = series;
  const [theme, setTheme] = useState(dark.matches);
  const clock = series.byTime && isClock(series.x[0]);

  useEffect(() => {
    const change = () => setTheme(dark.matches);
    dark.addEventListener("change", change);
    return () => dark.removeEventListener("change", change);
  }, []);

  useEffect(() => {
    plot.current = new uPlot(options(box.current, latest, palette(box.current), clock, onCursor), null, box.current);
    const resize = new ResizeObserver(() =>
      plot.current.setSize({ width: box.current.clientWidth, height: box.current.clientHeight }),
    );
    resize.observe(box.current);
    return () => {
      resize.disconnect();
      plot.current.destroy();
    };
  }, [theme, clock]);

  useEffect(() => {
    plot.current.setData([series.x, series.lower, series.upper, series.truth, series.predicted]);
  }, [series, theme, clock]);

  const step = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || series.x.length === 0) return;
    event.preventDefault();
    const from = plot.current.cursor.idx ?? series.x.length;
    const index = Math.min(Math.max(from + by, 0), series.x.length - 1);
    plot.current.setCursor({ left: plot.current.valToPos(series.x[index], "x"), top: 0 });
    onCursor(index);
  };

  return html`<div class="chart" ref=${box} role="img" aria-label=${label} tabindex="0" onKeyDown=${step}></div>`;
}
