// The fields of an object as a list; objects inside it unfold.

import { element } from "../studio/element.js";
import { prose } from "./prose.js";
import { boundsOf, kindOf, objectIn, resolved } from "./schema.js";

/** The fields of an object schema. */
export function shape(schema, components) {
  const required = schema.required ?? [];
  return element(
    "dl",
    { class: "fields" },
    Object.entries(schema.properties).map(([name, field]) =>
      row(name, field, required.includes(name), components),
    ),
  );
}

/** A field, or a parameter: its name, what it may hold, and what it means. */
export function row(name, schema, required, components, description = schema.description) {
  const { default: usual } = schema;
  const inner = objectIn(schema, components);
  return element(
    "div",
    {},
    element(
      "dt",
      {},
      element("code", {}, name),
      required && element("span", { class: "required" }, "required"),
      element("span", { class: "kind" }, kindOf(schema, components)),
    ),
    description && element("dd", {}, prose(description)),
    element("dd", { class: "hint" }, facts(resolved(schema, components), usual)),
    inner && element("dd", {}, unfolding(inner.name ?? "its fields", shape(inner, components))),
  );
}

function facts(schema, usual) {
  const bounds = boundsOf(schema);
  const otherwise = usual === undefined || usual === null ? "" : `${JSON.stringify(usual)} if not given`;
  return [bounds, otherwise].filter(Boolean).join("; ");
}

/** Something that is shown when it is asked for. */
export function unfolding(title, ...content) {
  return element("details", {}, element("summary", {}, title), ...content);
}
