// A request on its way: a frame of its size with the latest preview, and how far it is.

import { announce } from "./announce.js";
import { element } from "./element.js";
import { count, seconds } from "./words.js";

const CLOCK_MS = 100;
const TOLD_SHARES = 4;

export class Progress {
  /** `size` is WIDTHxHEIGHT; the frame of a compact one is as wide as its place. */
  constructor(size) {
    const [width, height] = size.split("x").map(Number);
    this.frame = element("div", { class: "frame waiting" });
    this.frame.style.setProperty("--width", width);
    this.frame.style.setProperty("--height", height);
    this.bar = element("progress", { "aria-label": "Progress" });
    this.words = element("span", {}, "sending");
    this.clock = element("span", { class: "clock" });
    this.root = element(
      "div",
      { class: "progress-view" },
      this.frame,
      element("div", { class: "progress-line" }, this.bar, element("p", {}, this.words, this.clock)),
    );
    this.began = performance.now();
    this.told = -1;
    this.timer = setInterval(() => this.tick(), CLOCK_MS);
  }

  /** Shows what the server said: `{ state, step, steps }`. */
  show({ state, step, steps }) {
    if (state === "queued") {
      this.bar.removeAttribute("value");
      this.words.textContent = "queued";
      announce("Queued");
      return;
    }
    this.bar.max = steps;
    this.bar.value = step;
    this.words.textContent = step < steps ? `step ${step} of ${steps}` : "decoding";
    const share = Math.floor((step / steps) * TOLD_SHARES);
    if (share > this.told) announce(`Step ${step} of ${count(steps, "step")}`);
    this.told = Math.max(this.told, share);
  }

  preview(picture) {
    this.picture?.forget();
    this.picture = picture;
    this.frame.classList.remove("waiting");
    this.frame.replaceChildren(element("img", { src: picture.url, alt: "Preview" }));
  }

  tick() {
    this.clock.textContent = seconds((performance.now() - this.began) / 1000);
  }

  /** Ends the clock and lets the preview go. */
  end() {
    clearInterval(this.timer);
    this.picture?.forget();
  }
}
