// Schemas of the OpenAPI document in words. Pure: no page.

/** The schema that is meant, with its name where it has one. */
export function resolved(schema, components) {
  if (!schema.$ref) return schema;
  const name = schema.$ref.split("/").pop();
  return { name, ...components[name] };
}

/** What kind of value it is, in a few words; empty for null, which is the same as nothing. */
export function kindOf(schema, components) {
  const { name, type, const: one, enum: words, anyOf, oneOf, items, format, additionalProperties } =
    resolved(schema, components);
  if (one !== undefined) return JSON.stringify(one);
  if (words) return words.filter((word) => word !== null).map((word) => JSON.stringify(word)).join(", ");
  const choices = anyOf ?? oneOf;
  if (choices) return choices.map((choice) => kindOf(choice, components)).filter(Boolean).join(" or ");
  if (format === "binary") return "file";
  if (type === "array") return `list of ${items ? severalOf(kindOf(items, components)) : "values"}`;
  if (name && type === "object") return name;
  if (type === "object" && typeof additionalProperties === "object") {
    return `mapping to ${kindOf(additionalProperties, components)}`;
  }
  return [type ?? "any value"].flat().filter((each) => each !== "null").join(" or ");
}

function severalOf(kind) {
  return /^\w+$/.test(kind) ? `${kind}s` : kind;
}

/** The bounds of a value in words; empty where it has none. */
export function boundsOf({ minimum, exclusiveMinimum, maximum, maxLength }) {
  const told = [];
  if (exclusiveMinimum !== undefined) told.push(`more than ${exclusiveMinimum}`);
  if (minimum !== undefined) told.push(`at least ${minimum}`);
  // A larger number is not what it says any more once it has been parsed.
  if (maximum !== undefined && Number.isSafeInteger(Math.ceil(maximum))) told.push(`at most ${maximum}`);
  if (maxLength !== undefined) told.push(`at most ${maxLength} characters`);
  return told.join(", ");
}

/** The object inside a value: itself, or what a list or a choice is made of; null where there is none. */
export function objectIn(schema, components) {
  const whole = resolved(schema, components);
  if (whole.properties) return whole;
  const inner = [whole.items, whole.additionalProperties, ...(whole.anyOf ?? []), ...(whole.oneOf ?? [])];
  for (const each of inner) {
    const found = each && typeof each === "object" ? objectIn(each, components) : null;
    if (found) return found;
  }
  return null;
}
