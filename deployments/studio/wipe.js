// Two pictures over each other: a slider wipes from one to the other, or their difference shows amplified.

import { element, freshId } from "./element.js";
import { drawDifference } from "./pixels.js";

const FIRST_GAIN = 3;

/** Shows any two of the tiles that it is given: `{ tier, picture, pixels }`. */
export class Wipe {
  constructor() {
    this.left = new Side("Left", () => this.draw());
    this.right = new Side("Right", () => this.draw());
    this.under = element("img", { alt: "", class: "wipe-under" });
    this.over = element("img", { alt: "", class: "wipe-over" });
    this.canvas = element("canvas", { class: "wipe-difference", role: "img", hidden: true });
    this.slider = element("input", {
      type: "range",
      class: "wipe-slider",
      min: 0,
      max: 100,
      step: 0.5,
      value: 50,
      "aria-label": "Wipe from the left picture to the right one",
      oninput: () => this.wipe(),
    });
    this.gain = element("input", {
      type: "range",
      id: freshId("gain"),
      min: 0,
      max: 7,
      step: 1,
      value: FIRST_GAIN,
      oninput: () => this.draw(),
    });
    this.gainShown = element("output", { for: this.gain.id });
    this.gainRow = element(
      "div",
      { class: "gain", hidden: true },
      element("label", { for: this.gain.id }, "Amplified"),
      this.gain,
      this.gainShown,
    );
    this.difference = element("input", { type: "checkbox", id: freshId("difference"), onchange: () => this.draw() });
    this.place = element(
      "div",
      { class: "wipe-place" },
      this.under,
      this.over,
      this.canvas,
      element("span", { class: "wipe-line", "aria-hidden": "true" }),
      this.slider,
    );
    this.root = element(
      "section",
      { class: "wipe panel", "aria-label": "Two tiers over each other", hidden: true },
      element(
        "div",
        { class: "wipe-choice" },
        this.left.root,
        this.right.root,
        element("label", { class: "switch", for: this.difference.id }, this.difference, "Difference"),
      ),
      this.place,
      this.gainRow,
    );
  }

  /** The tiles to choose from; keeps the choice where it can. */
  offer(tiles) {
    this.tiles = tiles;
    this.root.hidden = tiles.length < 2;
    if (this.root.hidden) return;
    this.left.offer(tiles, tiles[0]);
    this.right.offer(tiles, tiles.at(-1));
    this.draw();
  }

  draw() {
    const [left, right] = [this.left, this.right].map(({ select }) => this.tiles.find(({ tier }) => tier === select.value));
    const differs = this.difference.checked;
    this.under.src = right.picture.url;
    this.over.src = left.picture.url;
    this.place.style.setProperty("--width", left.pixels.width);
    this.place.style.setProperty("--height", left.pixels.height);
    this.place.classList.toggle("differs", differs);
    this.canvas.hidden = !differs;
    this.gainRow.hidden = !differs;
    this.slider.disabled = differs;
    const gain = 2 ** this.gain.valueAsNumber;
    this.gainShown.textContent = `${gain}\u00d7`;
    if (differs) drawDifference(this.canvas, left.pixels, right.pixels, gain);
    this.canvas.setAttribute("aria-label", `Difference of ${left.tier} and ${right.tier}`);
    this.wipe();
  }

  wipe() {
    this.place.style.setProperty("--at", `${this.slider.value}%`);
    this.slider.setAttribute("aria-valuetext", `${Math.round(this.slider.value)} percent ${this.left.select.value}`);
  }
}

/** Which tier is on one side: the one that was chosen by hand, else the first or last of what there is. */
class Side {
  constructor(label, onchange) {
    this.chosen = null;
    this.select = element("select", {
      id: freshId("wipe"),
      onchange: () => {
        this.chosen = this.select.value;
        onchange();
      },
    });
    this.root = element("div", { class: "field" }, element("label", { for: this.select.id }, label), this.select);
  }

  offer(tiles, usual) {
    this.select.replaceChildren(...tiles.map(({ tier }) => element("option", { value: tier }, tier)));
    this.select.value = tiles.some(({ tier }) => tier === this.chosen) ? this.chosen : usual.tier;
  }
}
