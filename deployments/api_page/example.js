// A command line that makes a request. Pure: no page.

const VALUES = { prompt: "a red circle", image: "picture.png", input_reference: "picture.png" };

/** A curl command for an operation, with a body of that media type where it takes one. */
export function curl(base, path, method, operation, mediaType, components) {
  const words = ["curl"];
  if (operation.responses[206]) words.push("-O -J");
  if (method === "delete") words.push("-X DELETE");
  if (method === "post" && !mediaType) words.push("-X POST");
  const place = path.slice(1).replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const lines = [`${words.join(" ")} '${new URL(place, base).href}'`];
  if (operation.security?.length) lines.push('-H "Authorization: Bearer $DIT_SERVE_API_KEY"');
  if (mediaType) lines.push(...body(mediaType, operation, components));
  return lines.join(" \\\n  ");
}

function body(mediaType, operation, components) {
  const name = operation.requestBody.content[mediaType].schema.$ref.split("/").pop();
  const { properties, required } = components[name];
  if (mediaType === "application/json") {
    const fields = Object.fromEntries(required.map((field) => [field, VALUES[field]]));
    return ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(fields)}'`];
  }
  const files = Object.keys(properties).filter((field) => VALUES[field]?.endsWith(".png"));
  return [...new Set([...files, ...required])].map((field) =>
    files.includes(field) ? `-F '${field}=@${VALUES[field]}'` : `-F '${field}=${VALUES[field]}'`,
  );
}
