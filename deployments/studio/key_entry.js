// The caller's key: asked for when the server wants one, kept for this browser tab only.

import { element } from "./element.js";

const PLACE = "dit-serve-key";

let asking = null;

/** The key that was entered, or null. */
export function enteredKey() {
  return sessionStorage.getItem(PLACE);
}

/** Asks for a key; true once one was entered, false where the caller turned away. One dialog for all who ask. */
export function askForKey(reason) {
  asking ??= ask(reason).finally(() => {
    asking = null;
  });
  return asking;
}

function ask(reason) {
  const input = element("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const dialog = element(
    "dialog",
    { class: "key-entry", "aria-labelledby": "key-title" },
    element(
      "form",
      { method: "dialog" },
      element("h2", { id: "key-title" }, "This server asks for a key"),
      element("p", { class: "soft" }, reason),
      element("label", { for: "key" }, "Key"),
      input,
      element("p", { class: "hint" }, "Kept in this browser tab until it is closed."),
      element(
        "div",
        { class: "actions" },
        element("button", { class: "primary", value: "use" }, "Use this key"),
        element("button", { type: "button", onclick: () => dialog.close("") }, "Not now"),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const entered = dialog.returnValue === "use" ? input.value.trim() : "";
      if (entered) keep(entered);
      dialog.remove();
      resolve(entered !== "");
    });
  });
}

/** Forgets the key. */
export function forgetKey() {
  sessionStorage.removeItem(PLACE);
  document.dispatchEvent(new Event("keychange"));
}

function keep(key) {
  sessionStorage.setItem(PLACE, key);
  document.dispatchEvent(new Event("keychange"));
}
