// Create: a picture of a prompt.

import { element } from "./element.js";
import { makePictures } from "./pictures.js";
import { PICTURE_TASKS } from "./catalogue.js";
import { RequestForm } from "./request_form.js";
import { resultNodes } from "./result.js";
import { Stage } from "./stage.js";

const PREVIEWS = 3;

export class Create {
  /** `compare` and `edit` are called with a request, and with a picture and its request; null hides the button. */
  constructor(panel, catalogue, { compare, edit }) {
    this.handOver = { compare, edit };
    this.form = new RequestForm(catalogue, {
      models: catalogue.modelsFor(PICTURE_TASKS),
      shows: ["tier", "size", "seed", "steps", "n", "deadline", "more"],
      submit: "Generate",
      placeholder: "What should the picture show?",
    });
    this.form.root.addEventListener("submit", () => this.generate());
    this.stage = new Stage("Your picture appears here.");
    this.pictures = [];
    panel.append(element("div", { class: "two-columns" }, this.form.root, this.stage.root));
  }

  generate() {
    const request = this.form.request();
    this.pictures.forEach((picture) => picture.forget());
    this.pictures = [];
    return this.stage.run(this.form, request.size, async ({ signal, progress }) => {
      const result = await makePictures(
        "v1/images/generations",
        { ...request, stream: true, partial_images: PREVIEWS },
        { signal, onprogress: (state) => progress.show(state), onpreview: (preview) => progress.preview(preview) },
      );
      this.pictures = result.pictures;
      return resultNodes(result, request.prompt, {
        reuseSeed: (seed) => this.form.fill({ seed }),
        actions: this.actions({ ...request, seed: result.receipt.seed }),
      });
    });
  }

  actions(request) {
    const { compare, edit } = this.handOver;
    return [
      compare && ["Compare tiers", () => compare(request)],
      edit && ["Edit", (picture) => edit(picture.blob, request)],
    ].filter(Boolean);
  }
}
