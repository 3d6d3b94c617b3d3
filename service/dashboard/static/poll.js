// Asking again and again, but only while somebody looks.

import { useEffect, useState } from "./vendor/htm-preact/standalone.module.js";

const SLOWEST_MS = 15_000;

/**
 * Call `ask({ signal })` every `intervalMs` and return `{ value, error }` of the last call.
 *
 * One call runs at a time; a failing server is asked ever more slowly; a hidden page asks nothing and catches up as soon
 * as it is seen again. Other `inputs` start afresh. The last value stays while calls fail, so the page does not flicker.
 */
export function usePoll(ask, intervalMs, inputs) {
  const [state, setState] = useState({ value: null, error: null });

  useEffect(() => {
    const controller = new AbortController();
    let timer = null;
    let running = false;
    let failures = 0;

    const round = async () => {
      clearTimeout(timer);
      if (running || document.hidden) return;
      running = true;
      try {
        const value = await ask({ signal: controller.signal });
        failures = 0;
        if (!controller.signal.aborted) setState({ value, error: null });
      } catch (error) {
        failures += 1;
        if (!controller.signal.aborted) setState((last) => ({ value: last.value, error }));
      }
      running = false;
      if (!controller.signal.aborted) timer = setTimeout(round, Math.min(intervalMs * 2 ** failures, SLOWEST_MS));
    };

    setState({ value: null, error: null });
    round();
    document.addEventListener("visibilitychange", round);
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", round);
    };
  }, inputs);

  return state;
}
