// A picture from the caller's computer, made ready to be sent.

import { element, freshId } from "./element.js";

/** A canvas of `size` (WIDTHxHEIGHT) that the picture covers, its middle kept where the ratios differ. */
export function covering(bitmap, size) {
  const [width, height] = size.split("x").map(Number);
  const canvas = element("canvas", { width, height });
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [drawnWidth, drawnHeight] = [bitmap.width * scale, bitmap.height * scale];
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, (width - drawnWidth) / 2, (height - drawnHeight) / 2, drawnWidth, drawnHeight);
  return canvas;
}

/** The canvas as a PNG file. */
export function pngOf(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Where a picture is dropped, pasted or chosen; `onpicture` gets its ImageBitmap. */
export class PictureDrop {
  constructor({ words, onpicture }) {
    this.onpicture = onpicture;
    this.input = element("input", { type: "file", accept: "image/*", id: freshId("picture"), class: "unseen" });
    this.fault = element("p", { class: "fault", role: "alert" });
    this.root = element(
      "div",
      { class: "picture-drop", "data-param": "image images mask input_reference" },
      this.input,
      element("label", { for: this.input.id }, element("strong", {}, "Choose a picture"), element("span", {}, words)),
      this.fault,
    );
    this.input.addEventListener("change", () => this.take(this.input.files[0]));
    this.root.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.root.classList.add("over");
    });
    this.root.addEventListener("dragleave", () => this.root.classList.remove("over"));
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      this.root.classList.remove("over");
      this.take(event.dataTransfer.files[0]);
    });
  }

  /** Takes a file, if there is one; says so where it holds no picture. */
  async take(file) {
    if (!file) return;
    this.fault.textContent = "";
    try {
      this.onpicture(await createImageBitmap(file));
    } catch (error) {
      if (error.name !== "InvalidStateError") throw error;
      this.fault.textContent = "This file is not a picture that the browser can read.";
    }
    this.input.value = "";
  }
}
