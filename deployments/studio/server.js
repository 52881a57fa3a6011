// Calls to the server, with the key, relative to the page's own address; failures as one kind of error.

import { askForKey, enteredKey } from "./key_entry.js";

/** What went wrong, in the server's own sentence. `status` is 0 where there was no answer. */
export class ServerError extends Error {
  constructor(told, status = 0, retryAfterS = null) {
    super(told.message);
    this.status = status;
    this.code = told.code;
    this.param = told.param;
    this.earliestFeasibleS = told.earliest_feasible_s ?? null;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * The answer to a call, whose status is good.
 * `json` is sent as such; `asksForKey: false` leaves the caller in peace, for calls that nobody asked for.
 * Throws ServerError, or AbortError where `signal` says so.
 */
export async function call(path, { json, asksForKey = true, headers = {}, ...options } = {}) {
  if (json !== undefined) {
    options = { method: "POST", body: JSON.stringify(json), ...options };
    headers = { "Content-Type": "application/json", ...headers };
  }
  for (;;) {
    const key = enteredKey();
    const response = await send(path, { ...options, headers }, key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status !== 401 || !asksForKey) throw error;
    // Another call may have asked for a key since this one was sent.
    if (enteredKey() === key && !(await askForKey(error.message))) throw error;
  }
}

/** The JSON of an answer. */
export async function read(path, options) {
  return (await call(path, options)).json();
}

export function isAbort(error) {
  return error.name === "AbortError";
}

/** The error of a connection that fails. */
export function unreachable(message) {
  return new ServerError({ message, code: "unreachable" });
}

async function send(path, options, key) {
  const headers = key ? { ...options.headers, Authorization: `Bearer ${key}` } : options.headers;
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    throw isAbort(error) ? error : unreachable("The server does not answer.");
  }
}

async function errorOf(response) {
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const retryAfterS = Number.isNaN(seconds) ? null : seconds;
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const body = isJson ? await response.json() : null;
  // A proxy before the server answers in its own way.
  const told = body?.error ?? { message: `The answer was ${response.status} ${response.statusText}.` };
  return new ServerError(told, response.status, retryAfterS);
}
