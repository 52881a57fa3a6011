// The form of a request: what all parts of the studio ask for alike.

import { element, freshId } from "./element.js";
import { DeadlineField, NumberField, SeedField, SizeField, TextField } from "./fields.js";
import { TierChoice } from "./tier_choice.js";

/**
 * A form for the given models. `shows` names what it has beside prompt and model: any of
 * `tier deadline size seed steps n more`; `extra` are nodes between the model and the tier.
 */
export class RequestForm {
  constructor(catalogue, { models, shows, submit, placeholder, extra = [] }) {
    this.models = models;
    this.prompt = new TextField("Prompt", { param: "prompt", required: true, placeholder });
    this.modelSelect = element(
      "select",
      { id: freshId("model"), onchange: () => this.modelChanged() },
      models.map((model) => element("option", { value: model.id }, model.id)),
    );
    this.fields = {
      tier: new TierChoice(catalogue),
      deadline: new DeadlineField(),
      size: new SizeField(),
      seed: new SeedField(),
      steps: new NumberField("Steps", { param: "num_inference_steps", min: 1 }),
      n: new NumberField("Pictures", { param: "n", min: 1, value: 1, placeholder: "1" }),
      negative: new TextField("Negative prompt", { param: "negative_prompt", rows: 2 }),
      guidance: new NumberField("Guidance", { param: "guidance_scale", min: 0, max: 100, step: "any" }),
      trueCfg: new NumberField("True CFG", { param: "true_cfg_scale", min: 0, max: 100, step: "any" }),
    };
    this.shows = shows;
    this.submitButton = element("button", { class: "primary" }, submit);
    this.cancelButton = element("button", { type: "button", class: "cancel", hidden: true }, "Cancel");
    this.root = element("form", { class: "panel request-form" }, this.layout(extra));
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      // Keys submit a form whose button is hidden, too.
      if (this.submitButton.hidden) event.stopImmediatePropagation();
    });
    this.root.addEventListener("input", (event) => this.unmark(event.target));
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.root.requestSubmit();
    });
    this.root.addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
    for (const field of [this.fields.size, this.fields.steps]) {
      field.root.addEventListener("change", () => this.showTiers());
    }
    this.modelChanged();
  }

  /** The model that is chosen. */
  get model() {
    return this.models.find((model) => model.id === this.modelSelect.value);
  }

  set modelId(id) {
    this.modelSelect.value = id;
    this.modelChanged();
  }

  /** The request as the API wants it, without what was left open. */
  request() {
    const { fields } = this;
    const all = {
      prompt: this.prompt.value,
      model: this.model.id,
      tier: this.has("tier") ? fields.tier.value : null,
      deadline_ms: this.has("deadline") ? fields.deadline.value : null,
      size: this.has("size") ? fields.size.value : null,
      seed: fields.seed.value,
      num_inference_steps: fields.steps.value,
      n: this.has("n") ? fields.n.value : null,
      negative_prompt: fields.negative.value,
      guidance_scale: fields.guidance.value,
      true_cfg_scale: fields.trueCfg.value,
    };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  }

  /** Puts parts of another request into the form. */
  fill({ prompt, model, size, seed, num_inference_steps: steps }) {
    if (model && this.models.some((each) => each.id === model)) this.modelId = model;
    if (prompt !== undefined) this.prompt.value = prompt;
    if (size !== undefined) this.fields.size.value = size;
    if (seed !== undefined) this.fields.seed.value = seed;
    if (steps !== undefined) this.fields.steps.value = steps;
    this.showTiers();
  }

  /** While a request runs there is only one thing to do: to cancel it. The focus stays at that place. */
  set busy(is) {
    if (is) this.root.querySelectorAll("[aria-invalid]").forEach((input) => this.unmark(input));
    const [from, to] = is ? [this.submitButton, this.cancelButton] : [this.cancelButton, this.submitButton];
    const focused = document.activeElement === from;
    from.hidden = true;
    to.hidden = false;
    if (focused) to.focus();
  }

  /** Marks the field that the server found fault with; false where the form does not show it. */
  mark(param) {
    const field = param && this.root.querySelector(`[data-param~="${CSS.escape(param)}"]`);
    if (!field) return false;
    field.classList.add("at-fault");
    field.querySelector("input:not([type=checkbox]), textarea, select").setAttribute("aria-invalid", "true");
    field.closest("details")?.setAttribute("open", "");
    return true;
  }

  unmark(input) {
    input.closest(".at-fault")?.classList.remove("at-fault");
    input.removeAttribute("aria-invalid");
  }

  has(part) {
    return this.shows.includes(part);
  }

  layout(extra) {
    const { tier, deadline, size, seed, steps, n, negative, guidance, trueCfg } = this.fields;
    const shown = (part, field) => this.has(part) && field.root;
    return [
      this.prompt.root,
      element(
        "div",
        { class: "field", "data-param": "model", hidden: this.models.length === 1 },
        element("label", { for: this.modelSelect.id }, "Model"),
        this.modelSelect,
      ),
      ...extra,
      shown("tier", tier),
      element("div", { class: "field-grid" }, shown("size", size), shown("seed", seed), shown("steps", steps), shown("n", n)),
      shown("deadline", deadline),
      this.has("more") &&
        element(
          "details",
          { class: "more" },
          element("summary", {}, "More"),
          negative.root,
          element("div", { class: "field-grid" }, guidance.root, trueCfg.root),
        ),
      element("div", { class: "actions submit" }, this.submitButton, this.cancelButton),
    ];
  }

  modelChanged() {
    const { limits } = this.model;
    this.fields.size.offer(this.model);
    this.fields.steps.input.max = limits.max_steps;
    this.fields.n.input.max = limits.max_images;
    this.showTiers();
    this.root.dispatchEvent(new Event("modelchange"));
  }

  showTiers() {
    this.fields.tier.show(this.model, { steps: this.fields.steps.value, size: this.fields.size.value });
  }
}
