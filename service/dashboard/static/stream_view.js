// One stream: the live plot of prediction against truth, and its errors by horizon.

import { html, useMemo, useState } from "./vendor/htm-preact/standalone.module.js";
import * as api from "./api.js";
import { Chart } from "./chart.js";
import { bytes, count, moment, quantity, ratio } from "./format.js";
import { usePoll } from "./poll.js";
import { align, choices, horizons } from "./series.js";
import { against, cellOf, verdict } from "./stream_table.js";

const HISTORY_MS = 1000;
const INFO_MS = 2000;
const LENGTHS = [60, 120, 240, 480];

function Choice({ label, value, options, onChange }) {
  const id = `choice-${label}`;
  return html`
    <div class="choice">
      <label for=${id}>${label}</label>
      <select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
        ${options.map((option) => html`<option key=${option.value} value=${option.value}>${option.label}</option>`)}
      </select>
    </div>
  `;
}

/** What stands at one sample of the plot, in words. */
function readout(series, index, probabilities) {
  if (index === null || series.x.length === 0) return "";
  const [low, high] = [series.lower[index], series.upper[index]];
  return [
    `sample ${series.seq[index]}`,
    series.byTime && moment(series.x[index]),
    series.truth[index] !== null && `truth ${quantity(series.truth[index])}`,
    series.predicted[index] !== null && `${probabilities ? "probability" : "predicted"} ${quantity(series.predicted[index])}`,
    low !== null && high !== null && `interval ${quantity(low)} to ${quantity(high)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** The last sample whose truth is known and that was predicted, else the last of all. */
function newest(series) {
  for (let index = series.x.length - 1; index >= 0; index--)
    if (series.truth[index] !== null && series.predicted[index] !== null) return index;
  return series.x.length ? series.x.length - 1 : null;
}

function Plot({ info, points }) {
  const { spec } = info;
  const [what, ahead] = [choices(spec), horizons(spec)];
  const [choice, setChoice] = useState(what[0].value);
  const [horizon, setHorizon] = useState(ahead[0] ?? 0);
  const [length, setLength] = useState(LENGTHS[1]);
  const [cursor, setCursor] = useState(null);
  const series = useMemo(() => align(points.slice(-length), spec, choice, horizon), [points, spec, length, choice, horizon]);
  const chosen = what.find((option) => option.value === choice).label;
  const classes = spec.task === "classification";
  const coverage = `${Math.round(100 * (spec.learner?.coverage ?? 0.9))} %`;
  const at = cursor ?? newest(series);

  return html`
    <div class="controls">
      <${Choice} label=${classes ? "Class" : "Value"} value=${choice} options=${what} onChange=${setChoice} />
      ${ahead.length > 0 &&
      html`<${Choice}
        label="Horizon"
        value=${horizon}
        options=${ahead.map((steps) => ({ value: steps, label: `${steps} ahead` }))}
        onChange=${(value) => setHorizon(Number(value))}
      />`}
      <${Choice}
        label="Show"
        value=${length}
        options=${LENGTHS.map((samples) => ({ value: samples, label: `last ${samples}` }))}
        onChange=${(value) => setLength(Number(value))}
      />
      <ul class="legend">
        ${!(classes && choice === "true") && html`<li class="truth">truth</li>`}
        <li class="prediction">${classes ? "probability" : "prediction"}</li>
        ${!classes && html`<li class="band">${coverage} interval</li>`}
        ${series.drifts.length > 0 && html`<li class="drift">drift</li>`}
      </ul>
    </div>
    <figure>
      <${Chart}
        series=${series}
        label=${`${classes ? "Probability" : "Prediction and truth"} of ${chosen}, last ${length} samples. Arrow keys read single samples.`}
        onCursor=${setCursor}
      />
      <figcaption aria-live=${cursor === null ? "off" : "polite"}>${readout(series, at, classes)}</figcaption>
    </figure>
  `;
}

/** The experts with a share to speak of, largest first: "liquid 79 %, season 15 %". */
function mixture(shares) {
  return Object.entries(shares ?? {})
    .filter(([, share]) => share >= 0.01)
    .sort(([, a], [, b]) => b - a)
    .map(([expert, share]) => `${expert} ${Math.round(100 * share)} %`)
    .join(", ");
}

function Errors({ info }) {
  const classes = info.spec.task === "classification";
  const name = (error) => (error.horizon == null ? "label" : `${error.horizon} ahead`);
  return html`
    <div class="scroll">
      <table class="errors">
        <caption>${classes ? "Fraction of wrong classes" : "Absolute error"}, predictions made before their target was known</caption>
        <thead>
          <tr>
            <th scope="col">Prediction</th><th scope="col" class="number">Targets</th><th scope="col" class="number">Recent</th>
            <th scope="col" class="number">Naive</th><th scope="col" class="number">Ratio</th><th scope="col" class="number">Whole life</th>
            <th scope="col">Answers are mixed from</th>
          </tr>
        </thead>
        <tbody>
          ${info.errors.map(
            (error) => html`<tr key=${error.horizon}>
              <th scope="row">${name(error)}</th>
              <td class="number">${count(error.count)}</td>
              <td class="number">${quantity(error.recent)}</td>
              <td class="number">${quantity(error.naive_recent)}</td>
              <td class="number ${verdict(against(error))}">${ratio(against(error))}</td>
              <td class="number">${quantity(error.mean)}</td>
              <td>${mixture(error.shares)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function Facts({ info }) {
  const { drift } = info;
  const facts = [
    ["Samples", count(info.samples)],
    ["Labels", info.spec.task === "forecast" ? null : count(info.labels)],
    ["Updates", `${count(info.updates)}${info.updates_skipped ? `, ${count(info.updates_skipped)} skipped` : ""}`],
    ["Drift events", drift.events ? `${count(drift.events)}, last at sample ${count(drift.last_seq)}` : "none"],
    ["Last sample", moment(info.last_t)],
    ["Weights", count(info.parameters)],
    ["State", bytes(info.state_bytes)],
    ["Engine", info.engine],
  ];
  return html`<dl class="facts">
    ${facts.filter(([, value]) => value !== null).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** The stream `id`; it need not be on the page of the table that is shown. */
export function StreamView({ id }) {
  const info = usePoll((how) => api.stream(id, how), INFO_MS, [id]);
  const recent = usePoll((how) => api.history(id, LENGTHS[LENGTHS.length - 1], how), HISTORY_MS, [id]);
  const error = info.error ?? recent.error;
  const points = recent.value?.points;

  return html`
    <section class="card stream" aria-labelledby="stream">
      <header>
        <h1 id="stream">${id}</h1>
        ${info.value && html`<p class="tags"><span>${info.value.spec.task}</span><span>${cellOf(info.value.spec)}</span></p>`}
      </header>
      ${error && html`<p class="notice" role="alert">${error.message}</p>`}
      ${info.value && points?.length > 0 && html`<${Plot} info=${info.value} points=${points} />`}
      ${info.value && points?.length === 0 && html`<p class="muted">The plot starts with the next sample.</p>`}
      ${info.value && html`<${Facts} info=${info.value} />`}
      ${info.value?.errors.length > 0 && html`<${Errors} info=${info.value} />`}
    </section>
  `;
}
