// Edit: a picture made anew from another one, whole or where a mask was painted.

import { announce } from "./announce.js";
import { EDIT_TASKS } from "./catalogue.js";
import { element, freshId } from "./element.js";
import { fittedSize, labelled } from "./fields.js";
import { MaskBrush } from "./mask_brush.js";
import { makePictures } from "./pictures.js";
import { RequestForm } from "./request_form.js";
import { resultNodes } from "./result.js";
import { covering, PictureDrop, pngOf } from "./source_picture.js";
import { Stage } from "./stage.js";
import { size as sizeWords } from "./words.js";

const PREVIEWS = 3;
const MIDDLE_STRENGTH = 0.6;

export class Edit {
  constructor(panel, catalogue) {
    this.drop = new PictureDrop({ words: "or drop or paste one here", onpicture: (bitmap) => this.take(bitmap) });
    this.mask = new MaskBrush();
    this.sent = element("p", { class: "hint" });
    this.strength = new StrengthField();
    this.form = new RequestForm(catalogue, {
      models: catalogue.modelsFor(EDIT_TASKS),
      shows: ["tier", "seed", "steps", "n", "deadline", "more"],
      submit: "Redraw",
      placeholder: "What should the picture show afterwards?",
      extra: [this.drop.root, this.mask.root, this.sent, this.strength.root],
    });
    this.form.root.addEventListener("submit", () => this.redraw());
    this.form.root.addEventListener("modelchange", () => this.modelChanged());
    this.form.root.addEventListener("paste", (event) => this.drop.take(event.clipboardData.files[0]));
    this.stage = new Stage("The redrawn picture appears here.");
    this.pictures = [];
    panel.append(element("div", { class: "two-columns" }, this.form.root, this.stage.root));
    this.modelChanged();
  }

  /** Begins from a picture of another part, as a file, and its request. */
  async begin(blob, request) {
    this.form.fill({ prompt: request.prompt, model: request.model });
    this.take(await createImageBitmap(blob));
  }

  take(bitmap) {
    this.bitmap = bitmap;
    this.prepare();
    announce("The picture is there");
  }

  modelChanged() {
    const { tasks } = this.form.model;
    this.masks = tasks.includes("inpainting");
    this.strength.root.hidden = !this.masks && !tasks.includes("image-to-image");
    this.mask.root.querySelector(".brush-tools").hidden = !this.masks;
    this.prepare();
  }

  /** Fits the picture to what the model takes; what is seen is what will be sent. */
  prepare() {
    this.mask.root.hidden = !this.bitmap;
    this.sent.hidden = !this.bitmap;
    if (!this.bitmap) return;
    const { default_size: usual, limits } = this.form.model;
    const [width, height] = usual.split("x").map(Number);
    this.size = fittedSize(this.bitmap.width / this.bitmap.height, width * height, limits);
    this.source = covering(this.bitmap, this.size);
    this.mask.cover(this.source);
    this.mask.paint.inert = !this.masks;
    this.sent.textContent = this.masks
      ? `Sent as ${sizeWords(this.size)}. Paint what is to be redrawn; without paint all of it is.`
      : `Sent as ${sizeWords(this.size)}.`;
  }

  async redraw() {
    if (!this.bitmap) {
      this.drop.fault.textContent = "Choose the picture to begin from.";
      this.drop.input.focus();
      return;
    }
    this.pictures.forEach((picture) => picture.forget());
    this.pictures = [];
    await this.stage.run(this.form, this.size, async ({ signal, progress }) => {
      const body = await this.body();
      const result = await makePictures("v1/images/edits", body, {
        signal,
        onprogress: (state) => progress.show(state),
        onpreview: (preview) => progress.preview(preview),
      });
      this.pictures = result.pictures;
      return resultNodes(result, body.get("prompt"), {
        reuseSeed: (seed) => this.form.fill({ seed }),
        actions: [["Edit further", async (picture) => this.take(await createImageBitmap(picture.blob))]],
      });
    });
  }

  /** The multipart form: the picture, the mask if one was painted, and all fields as text. */
  async body() {
    const body = new FormData();
    const fields = { ...this.form.request(), size: this.size, stream: true, partial_images: PREVIEWS };
    const mask = this.masks ? await this.mask.png() : null;
    // Editing models take a picture as a hint: nothing of it is drawn over, so there is no strength.
    const drawsOver = mask !== null || !this.form.model.tasks.includes("image-editing");
    if (drawsOver && this.strength.touched) fields.strength = this.strength.input.value;
    for (const [name, value] of Object.entries(fields)) body.set(name, String(value));
    body.set("image", await pngOf(this.source), "picture.png");
    if (mask) body.set("mask", mask, "mask.png");
    return body;
  }
}

/** Not sent until it is touched: what is usual depends on whether there is a mask. */
class StrengthField {
  constructor() {
    this.touched = false;
    this.input = element("input", {
      type: "range",
      id: freshId("strength"),
      min: 0.05,
      max: 1,
      step: 0.05,
      value: MIDDLE_STRENGTH,
    });
    const shown = element("output", { for: this.input.id }, "usual");
    this.input.addEventListener("input", () => {
      this.touched = true;
      shown.textContent = this.input.value;
    });
    const hint = "How far the picture may go from the one it begins with.";
    this.root = labelled("Strength", this.input, { param: "strength", hint, extra: shown });
  }
}
