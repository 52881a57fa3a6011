// Pictures made by the server, heard of while they are made.

import { eventsOf } from "./event_stream.js";
import { call, ServerError, unreachable } from "./server.js";

/** A picture: its file, an address to show it by, and the ending of its name. */
export class Picture {
  constructor(blob) {
    this.blob = blob;
    this.url = URL.createObjectURL(blob);
    this.ending = blob.type.split("/")[1];
  }

  static fromBase64(text, format) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Picture(new Blob([bytes], { type: `image/${format}` }));
  }

  forget() {
    URL.revokeObjectURL(this.url);
  }
}

/**
 * The pictures of a request and their receipt: `{ pictures, receipt }`.
 * `body` is an object of fields, or FormData where files go with them. `onprogress` hears
 * `{ state, step, steps }`, `onpreview` a Picture that is its own to forget.
 * Throws ServerError, or AbortError after `signal`.
 */
export async function makePictures(path, body, { signal, onprogress, onpreview }) {
  const sent = body instanceof FormData ? { method: "POST", body } : { json: body };
  const response = await call(path, { ...sent, signal });
  const pictures = [];
  let receipt = null;
  for await (const { type, data } of eventsOf(response.body)) {
    const kind = type.split(".").pop();
    if (kind === "error") throw new ServerError(data.error);
    if (kind === "progress") onprogress(data);
    if (kind === "partial_image") onpreview(Picture.fromBase64(data.b64_json, data.output_format));
    if (kind === "completed") {
      pictures.push(Picture.fromBase64(data.b64_json, data.output_format));
      receipt = data.receipt;
    }
  }
  if (receipt === null) throw unreachable("The connection ended before the picture was done.");
  return { pictures, receipt };
}
