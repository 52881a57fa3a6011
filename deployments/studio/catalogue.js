// What the server serves: its models with what they can do, and what their tiers were measured to cost and give.

import { read } from "./server.js";

export const PICTURE_TASKS = ["text-to-image"];
export const EDIT_TASKS = ["image-to-image", "inpainting", "image-editing"];
export const VIDEO_TASKS = ["text-to-video", "image-to-video"];

/** The models and tiers of the server; throws ServerError. */
export async function loadCatalogue() {
  const [models, tiers] = await Promise.all([read("v1/models"), read("v1/tiers")]);
  return new Catalogue(models.data, tiers.data);
}

export class Catalogue {
  constructor(models, tierRows) {
    this.models = models;
    this.tierRows = tierRows;
  }

  /** The models that can do any of the tasks. */
  modelsFor(tasks) {
    return this.models.filter((model) => tasks.some((task) => model.tasks.includes(task)));
  }

  /**
   * The measurement of a tier that is nearest to a request: of its size if there is one, then of its steps,
   * then of the fastest pool. Null where nothing was measured. Without `steps` the first measured ones count.
   */
  measured(modelId, tier, { steps, size }) {
    const rows = this.rowsOf(modelId, tier).flatMap((row) => row.measured);
    const wanted = steps ?? rows[0]?.steps;
    const distance = (row) => [row.size !== size, Math.abs(row.steps - wanted), row.seconds_p50];
    return rows.sort((a, b) => compareLists(distance(a), distance(b)))[0] ?? null;
  }

  /** Why measurements of a model were not used, in the server's words; null where none were refused. */
  refusal(modelId) {
    const refused = this.tierRows.find((row) => row.model === modelId && row.measured_refused);
    return refused?.measured_refused ?? null;
  }

  rowsOf(modelId, tier) {
    return this.tierRows.filter((row) => row.model === modelId && row.tier === tier);
  }
}

function compareLists(left, right) {
  const differing = left.findIndex((value, place) => value !== right[place]);
  return differing < 0 ? 0 : left[differing] - right[differing];
}
