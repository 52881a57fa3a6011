// A receipt for people: which tier and why, what was computed, where the time went.

import { element } from "./element.js";
import { count, seconds, size as sizeWords } from "./words.js";

const STAGES = [
  ["queue", "queue_s"],
  ["encode", "encode_s"],
  ["denoise", "denoise_s"],
  ["decode", "decode_s"],
];

/** Seconds of the engine's work, which a forecast speaks of. */
export function engineSeconds(receipt) {
  return receipt.encode_s + receipt.denoise_s + receipt.decode_s;
}

/** The panel; `reuseSeed` is called with the seed of the receipt. */
export function receiptPanel(receipt, { reuseSeed }) {
  return element(
    "section",
    { class: "receipt panel", "aria-label": "Receipt" },
    element("h2", {}, "Receipt"),
    element("p", { class: "receipt-tier" }, tierWords(receipt), element("span", { class: "soft" }, `Why: ${receipt.tier_reason}`)),
    stepsBar(receipt),
    timeBar(receipt),
    forecast(receipt),
    deadline(receipt),
    receipt.notes.map((note) => element("p", { class: "receipt-note" }, note)),
    facts(receipt, reuseSeed),
    element(
      "details",
      { class: "more" },
      element("summary", {}, "As JSON"),
      element("pre", { tabindex: "0" }, JSON.stringify(receipt, null, 2)),
    ),
  );
}

/** Steps computed and steps taken from the cache, as a bar. */
export function stepsBar(receipt) {
  const { steps_computed: computed, steps_cached: cached } = receipt;
  const words = `${count(computed, "step")} computed, ${cached} cached`;
  return bar(words, [
    ["computed", computed, `${computed} computed`],
    ["cached", cached, `${cached} cached`],
  ]);
}

function tierWords({ tier_requested: asked, tier_served: served }) {
  const name = element("strong", {}, served);
  return asked === served
    ? element("span", {}, name, ", as asked")
    : element("span", {}, name, `, where ${asked} was asked`);
}

function timeBar(receipt) {
  const parts = STAGES.map(([name, key]) => [name, receipt[key], `${name} ${seconds(receipt[key])}`]);
  return bar(`${seconds(receipt.total_s)} in all`, parts);
}

/** A bar of `[kind, amount, words]` with a legend under it. */
function bar(title, parts) {
  const segments = parts.map(([kind, amount]) => {
    const segment = element("span", { class: `segment ${kind}` });
    segment.style.setProperty("--amount", amount);
    return segment;
  });
  const legend = parts.map(([kind, , words]) => element("li", { class: kind }, words));
  return element(
    "div",
    { class: "bar-block" },
    element("p", { class: "bar-title" }, title),
    element("div", { class: "bar", "aria-hidden": "true" }, segments),
    element("ul", { class: "legend" }, legend),
  );
}

function forecast(receipt) {
  const real = engineSeconds(receipt);
  if (receipt.forecast_s === null) {
    return element("p", { class: "soft" }, `The engine took ${seconds(real)}; nothing like it had been measured, so there was no forecast.`);
  }
  const off = Math.round((real / receipt.forecast_s - 1) * 100);
  const miss = off === 0 ? "as forecast" : `${Math.abs(off)} % ${off > 0 ? "more" : "less"} than forecast`;
  return element("p", {}, `Forecast ${seconds(receipt.forecast_s)}, the engine took ${seconds(real)}: ${miss}.`);
}

function deadline({ deadline_met: met }) {
  if (met === null) return null;
  return element("p", { class: met ? "met" : "missed" }, met ? "The deadline was kept." : "The deadline was missed.");
}

function facts(receipt, reuseSeed) {
  const reuse = element("button", { type: "button", class: "link", onclick: () => reuseSeed(receipt.seed) }, "reuse");
  const rows = [
    ["Seed", element("span", {}, `${receipt.seed} `, reuse)],
    ["Model", `${receipt.model}, pool ${receipt.pool}`],
    ["Size", sizeWords([receipt.width, receipt.height])],
    ["Ranks", receipt.parallelism],
    ["Quantization", receipt.quantization],
    ["Attempts", receipt.attempts === 1 ? null : receipt.attempts],
    ["Config", element("code", {}, receipt.config_hash)],
    ["Request", element("code", {}, receipt.request_id)],
  ];
  const shown = rows.filter(([, value]) => value !== null);
  return element(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) =>
      element("div", { class: name === "Request" && "wide" }, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
}
