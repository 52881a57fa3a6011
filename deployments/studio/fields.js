// Labelled inputs of the request forms. Each field has a `root` to show and a `value`: null where nothing is given.

import { element, freshId } from "./element.js";
import { size as sizeWords } from "./words.js";

const PICTURE_MULTIPLE = 16;
const SEEDS = 1_000_000;
const RATIOS = [1, 4 / 3, 16 / 9, 3 / 4, 9 / 16];

/** A label over an input, and a hint under it; `param` is the request's name for it. */
export function labelled(label, input, { param, hint, extra } = {}) {
  input.id ||= freshId("field");
  const described = hint && element("p", { class: "hint", id: freshId("hint") }, hint);
  if (described) input.setAttribute("aria-describedby", described.id);
  return element(
    "div",
    { class: "field", "data-param": param },
    element("label", { for: input.id }, label),
    extra ? element("div", { class: "with-extra" }, input, extra) : input,
    described,
  );
}

export class TextField {
  constructor(label, { param, rows = 3, placeholder, required = false, hint }) {
    this.input = element("textarea", { rows, placeholder, required, name: param });
    this.root = labelled(label, this.input, { param, hint });
  }

  get value() {
    return this.input.value.trim() || null;
  }

  set value(text) {
    this.input.value = text;
  }
}

export class NumberField {
  constructor(label, { param, min, max, step = 1, placeholder = "default", hint, extra, value }) {
    this.input = element("input", {
      type: "number",
      inputmode: step === 1 ? "numeric" : "decimal",
      name: param,
      min,
      max,
      step,
      placeholder,
      value,
    });
    this.root = labelled(label, this.input, { param, hint, extra });
  }

  get value() {
    return this.input.value === "" ? null : this.input.valueAsNumber;
  }

  set value(number) {
    this.input.value = number ?? "";
  }
}

/** A seed; left empty, the server draws one. The dice draw one here. */
export class SeedField extends NumberField {
  constructor() {
    const dice = element(
      "button",
      { type: "button", class: "icon-button", title: "Draw a seed", "aria-label": "Draw a seed" },
      "\u2684",
    );
    super("Seed", { param: "seed", min: 0, max: Number.MAX_SAFE_INTEGER, placeholder: "any", extra: dice });
    dice.addEventListener("click", () => {
      this.value = drawnSeed();
    });
  }
}

/** Few digits, so that people can say it to each other. */
export function drawnSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % SEEDS;
}

/** A size: the model's own, the same area in other shapes, or any within its limits. */
export class SizeField {
  constructor() {
    this.select = element("select", { name: "size", onchange: () => this.showOwn() });
    this.width = sideInput("Width");
    this.height = sideInput("Height");
    this.own = element("div", { class: "own-size", hidden: true }, this.width, "\u00d7", this.height);
    this.root = labelled("Size", this.select, { param: "size" });
    this.root.append(this.own);
  }

  /** Offers the sizes of a model; keeps the chosen one where it is among them. */
  offer(model) {
    const before = this.value;
    const sizes = sizesOf(model);
    const options = sizes.map((size) => element("option", { value: size }, sizeWords(size)));
    this.select.replaceChildren(...options, element("option", { value: "own" }, "other\u2026"));
    if (sizes.includes(before)) this.select.value = before;
    const [width, height] = model.default_size.split("x");
    for (const [input, side] of [[this.width, width], [this.height, height]]) {
      input.max = model.limits.max_side;
      input.value = side;
    }
    this.showOwn();
  }

  showOwn() {
    this.own.hidden = this.select.value !== "own";
    // A hidden input that is out of range would keep the form from being sent without a word.
    this.width.disabled = this.own.hidden;
    this.height.disabled = this.own.hidden;
  }

  get value() {
    return this.select.value === "own" ? `${this.width.value}x${this.height.value}` : this.select.value;
  }

  /** A size from elsewhere: one that is offered, else as one of the caller's own. */
  set value(size) {
    this.select.value = [...this.select.options].some((option) => option.value === size) ? size : "own";
    [this.width.value, this.height.value] = size.split("x");
    this.showOwn();
  }
}

/** A deadline in seconds that is off until it is switched on. */
export class DeadlineField {
  constructor() {
    this.switch = element("input", { type: "checkbox", id: freshId("deadline"), onchange: () => this.show() });
    this.input = element("input", {
      type: "number",
      inputmode: "decimal",
      "aria-label": "Deadline in seconds",
      min: 0.1,
      max: 86400,
      step: "any",
      value: 10,
      required: true,
    });
    this.entry = element("span", { class: "deadline-entry" }, this.input, "seconds");
    this.hint = element("p", { class: "hint" }, "With tier auto the server takes the best one that keeps it.");
    this.root = element(
      "div",
      { class: "field deadline", "data-param": "deadline_ms" },
      element("label", { class: "switch", for: this.switch.id }, this.switch, "Deadline"),
      this.entry,
      this.hint,
    );
    this.show();
  }

  show() {
    this.entry.hidden = !this.switch.checked;
    this.hint.hidden = !this.switch.checked;
    this.input.disabled = !this.switch.checked;
  }

  /** Milliseconds, or null while it is off. */
  get value() {
    return this.switch.checked ? Math.round(this.input.valueAsNumber * 1000) : null;
  }

  set value(milliseconds) {
    this.switch.checked = milliseconds !== null;
    if (milliseconds !== null) this.input.value = milliseconds / 1000;
    this.show();
  }
}

function sideInput(label) {
  return element("input", {
    type: "number",
    inputmode: "numeric",
    "aria-label": `${label} in pixels`,
    required: true,
    min: PICTURE_MULTIPLE,
    step: PICTURE_MULTIPLE,
  });
}

/** The model's own size, and others with about its area, within its limits. */
function sizesOf(model) {
  const [width, height] = model.default_size.split("x").map(Number);
  const others = RATIOS.map((ratio) => fittedSize(ratio, width * height, model.limits));
  return [...new Set([model.default_size, ...others])];
}

/** The size of about `pixels` in all with the ratio of width to height, as models take it. */
export function fittedSize(ratio, pixels, limits) {
  const area = Math.min(pixels, limits.max_pixels);
  const width = Math.min(Math.sqrt(area * ratio), limits.max_side, limits.max_side * ratio);
  return [width, width / ratio].map((side) => Math.max(1, Math.floor(side / PICTURE_MULTIPLE + 0.01)) * PICTURE_MULTIPLE).join("x");
}
