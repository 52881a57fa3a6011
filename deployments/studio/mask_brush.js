// A picture on which one paints what is to be redrawn: with a pointer, or with the arrow keys and space.

import { announce } from "./announce.js";
import { element, freshId } from "./element.js";
import { pngOf } from "./source_picture.js";

const SMALLEST_SHARE = 0.02;
const LARGEST_SHARE = 0.4;
const FIRST_SHARE = 0.16;

export class MaskBrush {
  constructor() {
    this.paint = element("canvas", {
      class: "mask-paint",
      tabindex: "0",
      role: "img",
      "aria-label": "Mask. Arrow keys move the brush, space paints.",
    });
    this.ring = element("span", { class: "brush-ring", hidden: true });
    this.place = element("div", { class: "mask-place" });
    this.width = element("input", {
      type: "range",
      id: freshId("brush"),
      min: SMALLEST_SHARE,
      max: LARGEST_SHARE,
      step: 0.01,
      value: FIRST_SHARE,
    });
    this.root = element(
      "div",
      { class: "mask-brush" },
      this.place,
      element(
        "div",
        { class: "brush-tools" },
        element("label", { for: this.width.id }, "Brush"),
        this.width,
        element("button", { type: "button", onclick: () => this.clear() }, "Clear mask"),
      ),
    );
    this.listen();
  }

  /** Begins a new mask on a canvas that holds the picture. */
  cover(picture) {
    this.paint.width = picture.width;
    this.paint.height = picture.height;
    this.at = [picture.width / 2, picture.height / 2];
    this.hatching = hatching(Math.max(4, Math.round(Math.min(picture.width, picture.height) / 16)));
    this.clear();
    picture.className = "mask-picture";
    this.place.style.setProperty("--width", picture.width);
    this.place.style.setProperty("--height", picture.height);
    this.place.replaceChildren(picture, this.paint, this.ring);
  }

  clear() {
    this.brush().clearRect(0, 0, this.paint.width, this.paint.height);
    this.painted = false;
  }

  /** The mask as a PNG, transparent where it was painted; null where nothing was. */
  async png() {
    if (!this.painted) return null;
    const mask = element("canvas", { width: this.paint.width, height: this.paint.height });
    const brush = mask.getContext("2d");
    brush.fillRect(0, 0, mask.width, mask.height);
    brush.globalCompositeOperation = "destination-out";
    brush.drawImage(this.paint, 0, 0);
    return pngOf(mask);
  }

  listen() {
    const { paint } = this;
    paint.addEventListener("pointerdown", (event) => {
      paint.setPointerCapture(event.pointerId);
      this.at = this.pointAt(event);
      this.stroke(this.at);
    });
    paint.addEventListener("pointermove", (event) => {
      const point = this.pointAt(event);
      if (event.buttons & 1) this.stroke(point);
      this.at = point;
      this.showRing();
    });
    paint.addEventListener("pointerleave", () => this.hideRing());
    paint.addEventListener("focus", () => this.showRing());
    paint.addEventListener("blur", () => this.hideRing());
    paint.addEventListener("keydown", (event) => this.key(event));
    this.width.addEventListener("input", () => this.showRing());
  }

  key(event) {
    const step = this.radius();
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    if (way) {
      const [x, y] = [this.at[0] + way[0], this.at[1] + way[1]];
      this.at = [Math.min(Math.max(x, 0), this.paint.width), Math.min(Math.max(y, 0), this.paint.height)];
    } else {
      this.stroke(this.at);
      announce("Painted");
    }
    this.showRing();
  }

  /** Paints from where the brush is to a point. */
  stroke(point) {
    const brush = this.brush();
    brush.lineWidth = this.radius() * 2;
    brush.beginPath();
    brush.moveTo(...this.at);
    brush.lineTo(...point);
    brush.stroke();
    // A line without length is not drawn, round ends or not.
    brush.beginPath();
    brush.arc(...point, this.radius(), 0, 2 * Math.PI);
    brush.fill();
    this.painted = true;
  }

  brush() {
    const brush = this.paint.getContext("2d");
    brush.lineCap = "round";
    brush.strokeStyle = this.hatching;
    brush.fillStyle = this.hatching;
    return brush;
  }

  /** In pixels of the picture. */
  radius() {
    return (this.width.valueAsNumber * Math.min(this.paint.width, this.paint.height)) / 2;
  }

  pointAt(event) {
    const box = this.paint.getBoundingClientRect();
    const scale = this.paint.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  showRing() {
    const share = (value, whole) => `${(value / whole) * 100}%`;
    this.ring.style.setProperty("left", share(this.at[0], this.paint.width));
    this.ring.style.setProperty("top", share(this.at[1], this.paint.height));
    this.ring.style.setProperty("width", share(this.radius() * 2, this.paint.width));
    this.ring.hidden = false;
  }

  hideRing() {
    this.ring.hidden = document.activeElement !== this.paint;
  }
}

/** Opaque stripes of dark and light, which show on any picture; `side` is in pixels. */
function hatching(side) {
  const tile = element("canvas", { width: side, height: side });
  const brush = tile.getContext("2d");
  brush.fillStyle = "rgb(20 20 20)";
  brush.fillRect(0, 0, side, side);
  brush.strokeStyle = "rgb(255 255 255)";
  brush.lineWidth = side / 2.8;
  for (const shift of [-side, 0, side]) {
    brush.moveTo(shift, side);
    brush.lineTo(shift + side, 0);
  }
  brush.stroke();
  return brush.createPattern(tile, "repeat");
}
