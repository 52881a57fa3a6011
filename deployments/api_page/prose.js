// Text of the document on the page: what stands between backticks is code, all else is text.

import { element } from "../studio/element.js";

export function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));
}
