// The API as the page uses it: JSON in, JSON out, problems as errors, and the key that the browser tab keeps.

const KEY = "liquidstream.api-key";

/** A refusal of the server (`status` and `detail` of its problem body), or `status` 0 where none answered. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
};

async function body(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/** GET a path relative to the page. `accept` names further statuses whose body is an answer, not a refusal. */
export async function get(path, { signal, accept = [] } = {}) {
  const headers = { Accept: "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { headers, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  const answer = await body(response);
  if (response.ok || accept.includes(response.status)) return answer;
  throw new ApiError(response.status, answer.detail ?? answer.title ?? `The server answered ${response.status}.`);
}

export const readiness = (options) => get("readyz", { ...options, accept: [503] });
export const streams = (cursor, limit, options) =>
  get(`v1/streams?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, options);
export const stream = (id, options) => get(`v1/streams/${encodeURIComponent(id)}`, options);
export const history = (id, limit, options) => get(`v1/streams/${encodeURIComponent(id)}/history?limit=${limit}`, options);
