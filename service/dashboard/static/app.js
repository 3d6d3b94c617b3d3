// The dashboard: who is there, how well they predict, and one stream live.

import { html, render, useEffect, useState } from "./vendor/htm-preact/standalone.module.js";
import * as api from "./api.js";
import { FirstSteps } from "./first_steps.js";
import { Health } from "./health.js";
import { KeyForm } from "./key_form.js";
import { usePoll } from "./poll.js";
import { StreamView } from "./stream_view.js";
import { PAGE_SIZE, StreamTable } from "./stream_table.js";

const LIST_MS = 2000;
const HEALTH_MS = 5000;

/** The stream that the address names: `#pump-7`. */
function useSelected() {
  const read = () => decodeURIComponent(location.hash.slice(1)) || null;
  const [selected, setSelected] = useState(read);
  useEffect(() => {
    const change = () => setSelected(read());
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  return selected;
}

function App() {
  const [login, setLogin] = useState(0);
  const [cursors, setCursors] = useState([null]);
  const cursor = cursors[cursors.length - 1];
  const selected = useSelected();
  const health = usePoll(api.readiness, HEALTH_MS, [login]);
  const page = usePoll((how) => api.streams(cursor, PAGE_SIZE, how), LIST_MS, [login, cursor]);
  const listed = page.value?.streams;
  const shown = selected ?? listed?.[0]?.id;

  const enter = (value) => {
    api.key.set(value);
    setLogin(login + 1);
  };

  const content = () => {
    if (page.error?.status === 401) return html`<${KeyForm} refused=${api.key.get() !== null} onKey=${enter} />`;
    return html`
      ${page.error && html`<p class="notice" role="alert">${page.error.message} Trying again.</p>`}
      ${listed?.length === 0 && cursors.length === 1 && html`<${FirstSteps} />`}
      ${(listed?.length > 0 || cursors.length > 1) &&
      html`<${StreamTable}
        streams=${listed ?? []}
        selected=${shown}
        onPrevious=${cursors.length > 1 ? () => setCursors(cursors.slice(0, -1)) : null}
        onNext=${page.value?.next_cursor ? () => setCursors([...cursors, page.value.next_cursor]) : null}
      />`}
      ${shown && html`<${StreamView} key=${`${login} ${shown}`} id=${shown} />`}
    `;
  };

  return html`
    <header class="top">
      <a class="brand" href="#"><img src="dashboard/logo.svg" alt="" width="28" height="28" />Liquidstream</a>
      <${Health} readiness=${health.value} error=${health.error} />
      <nav aria-label="Elsewhere"><a href="docs">API</a> <a href="metrics">Metrics</a></nav>
    </header>
    <main>${content()}</main>
  `;
}

render(html`<${App} />`, document.getElementById("app"));
