// An error as one clear sentence, with what to do about it.

import { element } from "./element.js";
import { askForKey } from "./key_entry.js";
import { seconds } from "./words.js";

const DEADLINE_GRAIN_S = 0.1;

const ADVICE = {
  unreachable: "Is the server running, and can this computer reach it?",
  queue_full: "Many are waiting. Try again in a while.",
  no_replica: "No replica can take it now. It may be starting.",
  deadline_passed: "Give it more time, or choose a faster tier.",
  engine_failed: "The same request may well succeed when it is sent again.",
  output_corrupt: "Another tier or other settings may do; the log of the server says more.",
  request_too_large: "Choose a smaller picture.",
  model_not_found: "Load this page again to see what is served now.",
};

/**
 * A panel that tells of a ServerError. `again` sends the same request once more;
 * `withDeadline` sends it with another deadline, in milliseconds.
 */
export function failurePanel(error, { again, withDeadline }) {
  return element(
    "div",
    { class: "failure", role: "alert" },
    element("p", { class: "failure-sentence" }, error.message),
    element("p", {}, adviceOn(error)),
    element("div", { class: "actions" }, actionsOn(error, again, withDeadline)),
  );
}

function adviceOn(error) {
  if (error.earliestFeasibleS !== null) {
    return `A deadline of about ${seconds(error.earliestFeasibleS)} can be kept as things are now.`;
  }
  if (error.code === "queue_full" && error.retryAfterS !== null) {
    return `Many are waiting. Try again in about ${seconds(error.retryAfterS)}.`;
  }
  if (error.status === 401) return "Enter a key that this server knows.";
  if (error.code === "insufficient_scope") return "Enter a key that may do this.";
  if (error.status === 400) return "Change what it names, and send it again.";
  return ADVICE[error.code] ?? null;
}

function actionsOn(error, again, withDeadline) {
  if (error.earliestFeasibleS !== null && withDeadline) {
    // Rounded up: what is just feasible now is not a moment later.
    const deadlineS = (Math.floor(error.earliestFeasibleS / DEADLINE_GRAIN_S) + 2) * DEADLINE_GRAIN_S;
    const use = () => withDeadline(Math.round(deadlineS * 1000));
    return [element("button", { type: "button", class: "primary", onclick: use }, `Use ${deadlineS.toFixed(1)} s`)];
  }
  if (error.status === 401 || error.code === "insufficient_scope") {
    const enter = async () => {
      if (await askForKey(error.message)) again();
    };
    return [element("button", { type: "button", class: "primary", onclick: enter }, "Enter a key")];
  }
  if (error.status === 400 || !again) return [];
  return [element("button", { type: "button", onclick: again }, "Try again")];
}
