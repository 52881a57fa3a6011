// Compare: one prompt and seed in every tier of a model, one after the other so that none slows another.

import { announce } from "./announce.js";
import { PICTURE_TASKS } from "./catalogue.js";
import { element } from "./element.js";
import { failurePanel } from "./failure.js";
import { drawnSeed } from "./fields.js";
import { makePictures } from "./pictures.js";
import { pixelsOf, psnrDb } from "./pixels.js";
import { Progress } from "./progress.js";
import { engineSeconds, stepsBar } from "./receipt.js";
import { RequestForm } from "./request_form.js";
import { shownPicture } from "./result.js";
import { isAbort, ServerError } from "./server.js";
import { Wipe } from "./wipe.js";
import { decibels, seconds, times } from "./words.js";

const REFERENCE = "none";

export class Compare {
  constructor(panel, catalogue) {
    this.form = new RequestForm(catalogue, {
      models: catalogue.modelsFor(PICTURE_TASKS),
      shows: ["size", "seed", "steps", "more"],
      submit: "Compare tiers",
      placeholder: "One prompt, drawn in every tier",
    });
    this.form.root.addEventListener("submit", () => this.compare());
    this.idle = element("p", { class: "idle" }, "The tiers appear here, side by side.");
    this.grid = element("div", { class: "tier-tiles" });
    this.trouble = element("div");
    this.wipe = new Wipe();
    this.tiles = [];
    panel.append(
      element(
        "div",
        { class: "two-columns" },
        this.form.root,
        element("div", { class: "stage compare-stage" }, this.idle, this.trouble, this.grid, this.wipe.root),
      ),
    );
  }

  /** Compares what another part made. */
  begin(request) {
    this.form.fill(request);
    this.form.root.requestSubmit();
  }

  async compare() {
    if (this.form.request().seed === undefined) this.form.fill({ seed: drawnSeed() });
    const request = { ...this.form.request(), n: 1 };
    const controller = new AbortController();
    this.form.cancelButton.onclick = () => controller.abort();
    this.clear();
    this.form.busy = true;
    try {
      for (const tier of this.form.model.tiers) await this.draw(tier, request, controller.signal);
      announce("All tiers are drawn");
    } catch (error) {
      if (isAbort(error)) announce("Cancelled");
      else if (error instanceof ServerError) this.failed(error);
      else throw error;
    } finally {
      this.form.busy = false;
    }
  }

  clear() {
    this.tiles.forEach(({ picture }) => picture.forget());
    this.tiles = [];
    this.idle.hidden = true;
    this.trouble.replaceChildren();
    this.grid.replaceChildren();
    this.wipe.offer([]);
  }

  /** Makes one tier's picture, in a tile of its own. */
  async draw(tier, request, signal) {
    const progress = new Progress(request.size);
    const tile = element("article", { class: "tier-tile panel", "aria-label": tier }, element("h2", {}, tier), progress.root);
    this.grid.append(tile);
    try {
      const { pictures, receipt } = await makePictures(
        "v1/images/generations",
        { ...request, tier, stream: true },
        { signal, onprogress: (state) => progress.show(state), onpreview: (preview) => progress.preview(preview) },
      );
      const made = { tier, receipt, picture: pictures[0], pixels: await pixelsOf(pictures[0].blob) };
      this.tiles.push(made);
      tile.replaceChildren(...this.tileNodes(made, request.prompt));
      this.wipe.offer(this.tiles);
    } catch (error) {
      tile.remove();
      throw error;
    } finally {
      progress.end();
    }
  }

  tileNodes({ tier, receipt, picture, pixels }, prompt) {
    const reference = this.tiles.find((tile) => tile.tier === REFERENCE);
    const took = engineSeconds(receipt);
    const faster = reference && tier !== REFERENCE ? times(engineSeconds(reference.receipt) / took) : null;
    const likeness = reference && tier !== REFERENCE ? decibels(psnrDb(pixels, reference.pixels)) : null;
    return [
      element("h2", {}, tier),
      shownPicture(picture, receipt, `${prompt}, in tier ${tier}`),
      element(
        "dl",
        { class: "tile-facts" },
        fact("Engine", seconds(took)),
        fact("Speed-up", faster ?? (tier === REFERENCE ? times(1) : "no reference")),
        fact("PSNR", likeness ?? (tier === REFERENCE ? "reference" : "no reference")),
      ),
      stepsBar(receipt),
    ];
  }

  failed(error) {
    this.form.mark(error.param);
    this.trouble.replaceChildren(failurePanel(error, { again: () => this.form.root.requestSubmit() }));
  }
}

function fact(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
}
