// Videos: made as jobs that outlive this page; the list says how far they are.

import { announce } from "./announce.js";
import { VIDEO_TASKS } from "./catalogue.js";
import { element } from "./element.js";
import { failurePanel } from "./failure.js";
import { NumberField } from "./fields.js";
import { poll } from "./polling.js";
import { RequestForm } from "./request_form.js";
import { call, read, ServerError } from "./server.js";
import { covering, PictureDrop, pngOf } from "./source_picture.js";
import { isUnfinished, VideoRow } from "./video_row.js";

const PAGE = 20;
const SOON_S = 1;
const LATEST_S = 15;
const SLOWER = 1.5;

export class Videos {
  constructor(panel, catalogue) {
    this.seconds = new NumberField("Seconds", { param: "seconds", min: 0.1, step: "any" });
    this.fps = new NumberField("Frames a second", { param: "fps", min: 1, max: 120 });
    this.drop = new PictureDrop({ words: "or drop one here, to begin from", onpicture: (bitmap) => this.beginFrom(bitmap) });
    this.first = element("div", { class: "first-picture" });
    this.form = new RequestForm(catalogue, {
      models: catalogue.modelsFor(VIDEO_TASKS),
      shows: ["tier", "size", "seed", "steps", "deadline", "more"],
      submit: "Make the video",
      placeholder: "What should happen in the video?",
      extra: [this.drop.root, this.first, element("div", { class: "field-grid" }, this.seconds.root, this.fps.root)],
    });
    this.form.root.addEventListener("submit", () => this.act(() => this.create()));
    this.form.root.addEventListener("modelchange", () => this.modelChanged());
    this.trouble = element("div");
    this.empty = element("p", { class: "idle", hidden: true }, "No videos yet.");
    this.list = element("div", { class: "video-list" });
    this.older = element("button", { type: "button", hidden: true, onclick: () => this.act(() => this.showOlder()) }, "Show older");
    panel.append(
      element(
        "div",
        { class: "two-columns" },
        this.form.root,
        element("div", { class: "stage list-stage" }, this.trouble, this.empty, this.list, this.older),
      ),
    );
    this.rows = new Map();
    this.asked = PAGE;
    this.pauseS = SOON_S;
    this.refresh = poll(panel, () => this.ask());
    this.modelChanged();
  }

  modelChanged() {
    const { tasks } = this.form.model;
    this.drop.root.hidden = !tasks.includes("image-to-video");
    this.needsPicture = !tasks.includes("text-to-video");
  }

  beginFrom(bitmap) {
    this.bitmap = bitmap;
    const drop = element("button", { type: "button", class: "quiet", onclick: () => this.beginFrom(null) }, "Remove");
    this.first.replaceChildren(...(bitmap ? [covering(bitmap, this.form.fields.size.value), drop] : []));
  }

  async create() {
    const withPicture = this.bitmap && !this.drop.root.hidden;
    if (this.needsPicture && !withPicture) {
      this.drop.fault.textContent = "This model begins from a picture. Choose one.";
      this.drop.input.focus();
      return;
    }
    const request = this.form.request();
    if (this.seconds.value !== null) request.seconds = String(this.seconds.value);
    if (this.fps.value !== null) request.fps = this.fps.value;
    const body = withPicture ? { method: "POST", body: await this.multipart(request) } : { json: request };
    this.form.submitButton.disabled = true;
    try {
      // A second try of the same press must not become a second video.
      await call("v1/videos", { ...body, headers: { "Idempotency-Key": freshKey() } });
    } finally {
      this.form.submitButton.disabled = false;
    }
    announce("The video is queued");
    this.soon();
  }

  async multipart(request) {
    const body = new FormData();
    for (const [name, value] of Object.entries(request)) body.set(name, String(value));
    body.set("input_reference", await pngOf(covering(this.bitmap, request.size)), "picture.png");
    return body;
  }

  /** Asks for the list now, and often for a while. */
  soon() {
    this.pauseS = SOON_S;
    this.refresh();
  }

  /** Reads the list; the seconds until it is worth asking again, longer while nothing changes. */
  async ask() {
    try {
      const before = this.state();
      await this.readList();
      this.pauseS = this.state() === before ? Math.min(this.pauseS * SLOWER, LATEST_S) : SOON_S;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.tell(error, () => this.soon());
      return null;
    }
    return [...this.rows.values()].some((row) => isUnfinished(row.video)) ? this.pauseS : null;
  }

  async readList() {
    const videos = [];
    let page = null;
    do {
      const after = page ? `&after=${encodeURIComponent(page.last_id)}` : "";
      page = await read(`v1/videos?order=desc&limit=${PAGE}${after}`, { asksForKey: false });
      videos.push(...page.data);
    } while (page.has_more && videos.length < this.asked);
    this.older.hidden = !page.has_more;
    this.show(videos);
  }

  async showOlder() {
    this.asked += PAGE;
    await this.readList();
  }

  show(videos) {
    this.empty.hidden = videos.length > 0;
    const there = new Set(videos.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (!there.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    videos.forEach((video, place) => {
      if (this.rows.has(video.id)) this.rows.get(video.id).show(video);
      else this.rows.set(video.id, this.newRow(video));
      const { root } = this.rows.get(video.id);
      if (this.list.children[place] !== root) this.list.insertBefore(root, this.list.children[place] ?? null);
    });
  }

  newRow(video) {
    return new VideoRow(video, {
      act: (does) => this.act(does),
      changed: () => this.soon(),
      reuseSeed: (seed) => this.form.fill({ seed }),
    });
  }

  state() {
    return [...this.rows.values()].map(({ video }) => `${video.id} ${video.status} ${video.progress}`).join();
  }

  /** Does what a button asks for, and tells of its errors. */
  async act(does) {
    this.trouble.replaceChildren();
    try {
      await does();
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.form.mark(error.param);
      this.tell(error, () => this.act(does));
    }
  }

  tell(error, again) {
    const retry = () => {
      this.trouble.replaceChildren();
      again();
    };
    const withDeadline = (milliseconds) => {
      this.form.fields.deadline.value = milliseconds;
      this.form.root.requestSubmit();
    };
    this.trouble.replaceChildren(failurePanel(error, { again: retry, withDeadline }));
  }
}

/** Not `crypto.randomUUID`, which browsers keep from pages without TLS. */
function freshKey() {
  const numbers = crypto.getRandomValues(new Uint32Array(4));
  return [...numbers].map((number) => number.toString(16).padStart(8, "0")).join("");
}
