// Asks for the API key; it stays in this tab (sessionStorage) and goes nowhere but to this server.

import { html } from "./vendor/htm-preact/standalone.module.js";

export function KeyForm({ refused, onKey }) {
  const submit = (event) => {
    event.preventDefault();
    const value = new FormData(event.target).get("key").trim();
    if (value) onKey(value);
  };
  return html`
    <form class="card key" onSubmit=${submit}>
      <h1>API key</h1>
      <p>This server answers only to callers with a key. It is kept in this tab until you close it.</p>
      ${refused && html`<p class="notice" role="alert">The server does not accept this key.</p>`}
      <label for="key">Key</label>
      <div class="line">
        <input id="key" name="key" type="password" autocomplete="off" spellcheck="false" required />
        <button type="submit">Open</button>
      </div>
    </form>
  `;
}
