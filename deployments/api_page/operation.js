// One request of the API: what it takes, what it answers, and how to send it.

import { element } from "../studio/element.js";
import { curl } from "./example.js";
import { prose } from "./prose.js";
import { objectIn, resolved } from "./schema.js";
import { row, shape, unfolding } from "./shape.js";

/** The section of an operation. `base` is the address of the server. */
export function operationSection(base, path, method, operation, components) {
  const bodies = Object.keys(operation.requestBody?.content ?? {});
  return element(
    "section",
    { class: "panel", id: operation.operationId, "aria-labelledby": `${operation.operationId}-title` },
    element("h3", { id: `${operation.operationId}-title` }, operation.summary),
    element(
      "p",
      { class: "line" },
      element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("code", {}, path),
    ),
    element("p", {}, prose(operation.description)),
    parameters(operation, components),
    bodies.flatMap((kind) => body(kind, operation.requestBody.content[kind].schema, components)),
    element("h4", {}, "Answers"),
    answers(operation, components),
    element("h4", {}, "Example"),
    (bodies.length ? bodies : [null]).map((kind) =>
      element("pre", { tabindex: "0" }, curl(base, path, method, operation, kind, components)),
    ),
  );
}

function parameters(operation, components) {
  if (!operation.parameters?.length) return null;
  return [
    element("h4", {}, "Parameters"),
    element(
      "dl",
      { class: "fields" },
      operation.parameters.map(({ name, in: place, schema, required, description }) =>
        row(name, schema, required, components, `${description} (${place}).`),
      ),
    ),
  ];
}

function body(kind, schema, components) {
  const whole = resolved(schema, components);
  return [
    element("h4", {}, "Body, as ", element("code", {}, kind)),
    element("p", { class: "hint" }, whole.description),
    shape(whole, components),
  ];
}

/** What it answers: each success with its content, then the errors, which are all of one shape. */
function answers(operation, components) {
  const all = Object.entries(operation.responses).sort(([one], [other]) => one.localeCompare(other));
  const isError = ([status]) => status === "default" || Number(status) >= 400;
  const errors = all.filter(isError);
  return [
    ...all.filter((answer) => !isError(answer)).map(([status, answer]) =>
      element("div", { class: "answer" }, line(status, answer), contents(answer, components)),
    ),
    element(
      "div",
      { class: "answer" },
      errors.map(([status, answer]) => line(status, answer)),
      contents(errors[0][1], components),
    ),
  ];
}

function line(status, answer) {
  return element("p", {}, element("span", { class: "status" }, status), " ", answer.description);
}

function contents(answer, components) {
  return Object.entries(answer.content ?? {}).map(([kind, { schema }]) =>
    content(kind, resolved(schema, components), components),
  );
}

function content(kind, schema, components) {
  const events = (schema["x-events"] ?? []).map((event) => resolved(event, components));
  const shapes = events.length ? events : [objectIn(schema, components)].filter(Boolean);
  if (!shapes.length) return element("p", { class: "hint" }, element("code", {}, kind));
  return unfolding(
    [element("code", {}, kind), " ", shapes.map(({ name }) => name).join(", ")],
    schema.description && element("p", { class: "hint" }, prose(schema.description)),
    ...shapes.flatMap((each) => [
      events.length > 1 && element("h5", {}, each.name),
      shape(each, components),
    ]),
  );
}
