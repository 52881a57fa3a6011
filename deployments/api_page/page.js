// Builds the page of the API from the server's own OpenAPI document.

import { element } from "../studio/element.js";
import { operationSection } from "./operation.js";
import { prose } from "./prose.js";

const base = new URL("./", location.href);
const contents = document.getElementById("contents");
const operations = document.getElementById("operations");

function show({ info, tags, paths, components }) {
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const parts = tags.map((tag) => ({
    ...tag,
    all: all.filter(({ operation }) => operation.tags.includes(tag.name)),
  }));
  contents.replaceChildren(
    ...parts.map((part) => [element("h2", {}, part.name), element("ul", {}, part.all.map(entry))]).flat(),
  );
  operations.replaceChildren(
    ...info.description.trim().split("\n\n").map((text) => element("p", {}, prose(text))),
    ...parts.flatMap((part) => [
      element("h2", {}, part.name),
      element("p", { class: "soft" }, part.description),
      ...part.all.map(({ path, method, operation }) =>
        operationSection(base, path, method, operation, components.schemas),
      ),
    ]),
  );
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function entry({ operation }) {
  return element("li", {}, element("a", { href: `#${operation.operationId}` }, operation.summary));
}

async function open() {
  const answer = await fetch(new URL("openapi.json", base));
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  show(await answer.json());
}

open().catch((error) => {
  operations.replaceChildren(
    element("p", { class: "fault", role: "alert" }, `The server's document cannot be shown: ${error.message}`),
  );
});
