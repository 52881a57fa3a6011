// Server-sent events out of the body of a fetch, which unlike EventSource can post and be aborted.

import { isAbort, unreachable } from "./server.js";

const LINE_END = /\r\n|\n|\r(?!$)/;

/** The events of a stream as they come, each `{ type, data }` with its data read as JSON; ServerError where it breaks. */
export async function* eventsOf(body) {
  let text = "";
  let event = freshEvent();
  for await (const piece of chunksOf(body.pipeThrough(new TextDecoderStream()))) {
    const lines = (text + piece).split(LINE_END);
    text = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length) yield { type: event.type, data: JSON.parse(event.data.join("\n")) };
        event = freshEvent();
      } else {
        take(line, event);
      }
    }
  }
}

/** Not every browser can iterate a stream by itself. */
async function* chunksOf(stream) {
  const reader = stream.getReader();
  for (let turn = await turnOf(reader); !turn.done; turn = await turnOf(reader)) yield turn.value;
}

async function turnOf(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw isAbort(error) ? error : unreachable("The connection broke before the end.");
  }
}

function freshEvent() {
  return { type: "message", data: [] };
}

function take(line, event) {
  const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
  if (field === "event") event.type = value;
  if (field === "data") event.data.push(value);
}
