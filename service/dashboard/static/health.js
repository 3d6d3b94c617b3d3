// One line about the server: does it take samples, and what does an acknowledged one survive?

import { html } from "./vendor/htm-preact/standalone.module.js";

const SURVIVES = { fsync: "power loss", everysec: "a crash of the service", memory: "nothing" };

export function Health({ readiness, error }) {
  if (error) return html`<p class="health bad" role="status"><span class="dot"></span>Unreachable</p>`;
  if (!readiness) return html`<p class="health" role="status"><span class="dot"></span>Connecting</p>`;
  const { ready, store, durability, engine, engine_fallback: fallback, reasons = [] } = readiness;
  const survives = durability in SURVIVES && `An acknowledged sample survives ${SURVIVES[durability]}.`;
  const title = [survives, fallback && `The engine is not the native one: ${fallback}`].filter(Boolean).join("\n");
  const facts = [store && `store ${store}`, durability && `durability ${durability}`, engine && `engine ${engine}`];
  return html`
    <p class="health ${ready ? "good" : "bad"}" role="status">
      <span class="dot"></span><strong>${ready ? "Ready" : "Not ready"}</strong>
      <span class="facts" title=${title}>${(ready ? facts.filter(Boolean) : reasons).join(" · ")}</span>
    </p>
  `;
}
