// What to do when there is no stream yet: two requests to copy.

import { html, useState } from "./vendor/htm-preact/standalone.module.js";
import { key } from "./api.js";

function example() {
  const server = new URL(".", location.href).href.replace(/\/$/, "");
  const header = ` -H 'Content-Type: application/json'${key.get() ? ` -H "Authorization: Bearer $LIQUID_API_KEY"` : ""}`;
  return `curl -X PUT ${server}/v1/streams/pump-7${header} \\
  -d '{"task": "forecast", "features": ["flow", "pressure"], "horizon": [1, 24]}'

for i in $(seq 1 300); do
  curl -s ${server}/v1/streams/pump-7/samples${header} \\
    -d "$(awk -v t=$i 'BEGIN {printf "{\\"t\\": %d, \\"x\\": [%.3f, %.3f]}", t, 3+sin(t/8), 0.8+0.1*cos(t/8)}')" > /dev/null
done`;
}

export function FirstSteps() {
  const [copied, setCopied] = useState(false);
  const text = example();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // No clipboard without HTTPS: leave the text selected for the keyboard.
      getSelection().selectAllChildren(document.getElementById("example"));
    }
  };
  return html`
    <section class="card first">
      <h1>No streams yet</h1>
      <p>Create one and send it samples; this page shows it as soon as it is there.</p>
      <pre tabindex="0" aria-label="Example requests"><code id="example">${text}</code></pre>
      <button type="button" onClick=${copy}>${copied ? "Copied" : "Copy"}</button>
      <span class="muted">or replay a file: <code>liquidstream replay FILE.csv</code></span>
    </section>
  `;
}
