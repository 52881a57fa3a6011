// The choice of a tier: a row each, with what it was measured to cost and give.

import { element, freshId } from "./element.js";
import { count, decibels, size as sizeWords, times } from "./words.js";

const MEANING = {
  auto: "the server chooses",
  none: "every step",
  slow: "most steps",
  medium: "half of the steps",
  fast: "fewer steps",
  ultra: "fewest steps",
};

export class TierChoice {
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.group = freshId("tier");
    this.rows = element("div", { class: "tier-rows" });
    this.note = element("p", { class: "hint" });
    this.root = element(
      "fieldset",
      { class: "tier-choice", "data-param": "tier" },
      element("legend", {}, "Tier"),
      this.rows,
      this.note,
    );
  }

  /** The tier that is chosen. */
  get value() {
    return this.rows.querySelector("input:checked").value;
  }

  choose(tier) {
    this.rows.querySelector(`input[value="${tier}"]`).checked = true;
  }

  /** Shows the tiers of a model as measured nearest to `{ steps, size }`; keeps the choice where it can. */
  show(model, asked) {
    const before = this.rows.querySelector("input:checked")?.value;
    const chosen = model.id === this.modelId && before ? before : model.default_tier;
    this.modelId = model.id;
    const measured = new Map(
      model.tiers.map((tier) => [tier, this.catalogue.measured(model.id, tier, asked)]),
    );
    this.rows.replaceChildren(
      ...["auto", ...model.tiers].map((tier) => this.row(tier, measured.get(tier), tier === chosen)),
    );
    this.note.textContent = this.noteOf(model, asked, [...measured.values()]);
  }

  row(tier, row, checked) {
    const share = element("span", { class: "share", "aria-hidden": "true" });
    share.style.setProperty("--share", row ? row.computed_share : 0);
    return element(
      "label",
      { class: row ? "tier-row" : "tier-row unmeasured" },
      element("input", { type: "radio", name: this.group, value: tier, checked }),
      element("span", { class: "tier-name" }, tier),
      element("span", { class: "tier-meaning" }, row ? computed(row) : [MEANING[tier]]),
      ...(row ? measurements(tier, row) : [element("span", { class: "tier-unmeasured" }, tier === "auto" ? "" : "not measured")]),
      row && share,
    );
  }

  noteOf(model, asked, rows) {
    const row = rows.find((each) => each !== null);
    if (!row) {
      const refused = this.catalogue.refusal(model.id);
      return refused
        ? `Nothing measured to go by: ${refused}.`
        : "Nobody has measured the tiers of this model yet; dit-serve calibrate does it.";
    }
    const note = `Speed-up and likeness to none, measured at ${count(row.steps, "step")}, ${sizeWords(row.size)}, on ${row.device}.`;
    const elsewhere = [
      asked.steps !== null && asked.steps !== row.steps && count(asked.steps, "step"),
      asked.size !== row.size && sizeWords(asked.size),
    ].filter(Boolean);
    return elsewhere.length ? `${note} Not measured at ${elsewhere.join(", ")}.` : note;
  }
}

function computed(row) {
  return [`${Math.round(row.steps_computed)} of ${row.steps}`, element("span", { class: "steps-word" }, " steps")];
}

function measurements(tier, row) {
  const likeness = row.psnr_db === null ? (tier === "none" ? "reference" : "identical") : decibels(row.psnr_db);
  return [
    element("span", { class: "tier-speed" }, element("span", { class: "unseen" }, "speed-up "), times(row.speed_up)),
    element("span", { class: "tier-likeness" }, element("span", { class: "unseen" }, "PSNR "), likeness),
  ];
}
