// What came of a request: its pictures, what can be done with them, and the receipt.

import { element } from "./element.js";
import { receiptPanel } from "./receipt.js";

/**
 * The nodes of a result. `reuseSeed` is called with the seed; `actions` are `[words, act]` pairs, where act is
 * called with the picture.
 */
export function resultNodes({ pictures, receipt }, prompt, { reuseSeed, actions }) {
  const figures = pictures.map((picture, place) => {
    const name = fileName(receipt, picture, place);
    return element(
      "figure",
      {},
      shownPicture(picture, receipt, prompt),
      element(
        "figcaption",
        { class: "actions" },
        element("a", { class: "button", href: picture.url, download: name }, "Download"),
        actions.map(([words, act]) => element("button", { type: "button", onclick: () => act(picture) }, words)),
      ),
    );
  });
  return [
    element("div", { class: pictures.length > 1 ? "pictures several" : "pictures" }, figures),
    receiptPanel(receipt, { reuseSeed }),
  ];
}

/** A picture as large as its place allows, but not so large that it blurs; see `--width` in the style sheet. */
export function shownPicture(picture, { width, height }, alternative) {
  const image = element("img", { class: "shown", src: picture.url, alt: alternative, width, height });
  image.style.setProperty("--width", width);
  image.style.setProperty("--height", height);
  return image;
}

function fileName(receipt, picture, place) {
  const several = receipt.n > 1 ? `-${place + 1}` : "";
  return `${receipt.model}-${receipt.tier_served}-${receipt.seed}${several}.${picture.ending}`;
}
