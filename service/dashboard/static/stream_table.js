// All streams, a page at a time, with what says how well each one predicts.

import { html } from "./vendor/htm-preact/standalone.module.js";
import { count, quantity, ratio } from "./format.js";

export const PAGE_SIZE = 50;

/** The cell's kind: a spec names it alone, or with its settings. */
export const cellOf = (spec) => (typeof spec.cell === "string" ? spec.cell : spec.cell.kind);

/** Recent error divided by the naive prediction's; `null` before there is one. */
export const against = (error) =>
  error?.recent != null && error.naive_recent > 0 ? error.recent / error.naive_recent : null;

export const verdict = (value) => (value === null ? "" : value < 1 ? "good" : "bad");

/** What is known of a stream that waits in the store: to look at it brings it into memory. */
const Waiting = () => html`<td class="muted" colspan="4">not in memory</td>`;

function Row({ stream, selected }) {
  const { id, spec } = stream;
  const href = `#${encodeURIComponent(id)}`;
  return html`
    <tr class=${selected ? "selected" : ""}>
      <th scope="row"><a href=${href} title=${id} aria-current=${selected ? "true" : null}>${id}</a></th>
      <td data-name="Task">${spec.task}</td>
      <td data-name="Cell">${cellOf(spec)}</td>
      ${stream.status === "cold" ? html`<${Waiting} />` : html`<${Numbers} ...${stream} />`}
    </tr>
  `;
}

function Numbers({ samples, errors, drift }) {
  const relative = against(errors[0]);
  return html`
    <td data-name="Samples" class="number">${count(samples)}</td>
    <td data-name="Recent error" class="number">${quantity(errors[0]?.recent)}</td>
    <td data-name="vs naive" class="number ${verdict(relative)}">${ratio(relative)}</td>
    <td data-name="Drift" class="number ${drift.events > 0 ? "warn" : ""}">${count(drift.events)}</td>
  `;
}

export function StreamTable({ streams, selected, onPrevious, onNext }) {
  return html`
    <section class="card" aria-labelledby="streams">
      <h1 id="streams">Streams</h1>
      <div class="scroll">
        <table class="streams">
          <thead>
            <tr>
              <th scope="col">Stream</th>
              <th scope="col">Task</th>
              <th scope="col">Cell</th>
              <th scope="col" class="number">Samples</th>
              <th scope="col" class="number" title="Exponentially weighted over about the last hundred targets">Recent error</th>
              <th scope="col" class="number" title="Recent error divided by the naive prediction's: below 1 is better">vs naive</th>
              <th scope="col" class="number" title="Alarms of the drift detector">Drift</th>
            </tr>
          </thead>
          <tbody>
            ${streams.map((stream) => html`<${Row} key=${stream.id} stream=${stream} selected=${stream.id === selected} />`)}
          </tbody>
        </table>
      </div>
      ${(onPrevious || onNext) &&
      html`<div class="pager">
        <button type="button" disabled=${!onPrevious} onClick=${onPrevious}>Previous</button>
        <button type="button" disabled=${!onNext} onClick=${onNext}>Next</button>
      </div>`}
    </section>
  `;
}
