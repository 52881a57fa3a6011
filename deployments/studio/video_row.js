// One video of the list: how far it is, and what can be done with it.

import { element } from "./element.js";
import { receiptPanel } from "./receipt.js";
import { call } from "./server.js";
import { ago, size as sizeWords } from "./words.js";

const STATUS = { queued: "queued", in_progress: "in progress", completed: "completed", failed: "failed", cancelled: "cancelled" };

export function isUnfinished(video) {
  return video.status === "queued" || video.status === "in_progress";
}

export class VideoRow {
  /** `act` runs what a button starts and tells of its errors; `changed` is called after a change on the server. */
  constructor(video, { act, changed, reuseSeed }) {
    this.handlers = { act, changed, reuseSeed };
    this.id = video.id;
    this.status = element("span", { class: "status" });
    this.told = element("span", { class: "soft" });
    this.bar = element("progress", { max: 100, "aria-label": "Progress" });
    this.fault = element("p", { class: "fault" });
    this.actions = element("div", { class: "actions" });
    this.screen = element("div", { class: "video-screen" });
    this.receipt = element("div");
    this.root = element(
      "article",
      { class: "video-row panel", "data-id": video.id },
      element("p", { class: "video-prompt" }, video.prompt),
      element("p", { class: "video-line" }, this.status, this.told),
      this.bar,
      this.fault,
      this.screen,
      this.actions,
      this.receipt,
    );
    this.show(video);
  }

  show(video) {
    this.told.textContent = [video.model, sizeWords(video.size), `${video.seconds} s`, ago(video.created_at)].join(" \u00b7 ");
    if (this.video && this.video.status === video.status && this.video.progress === video.progress) return;
    const turned = this.video?.status !== video.status;
    this.video = video;
    const share = video.status === "in_progress" ? ` ${video.progress}\u202f%` : "";
    this.status.textContent = `${STATUS[video.status]}${share}`;
    this.status.dataset.status = video.status;
    this.bar.hidden = !isUnfinished(video);
    if (video.status === "in_progress") this.bar.value = video.progress;
    this.fault.textContent = video.error?.message ?? "";
    if (turned) this.offer(video);
  }

  /** The buttons of a status; made anew only when it changes, so that none is lost under a finger. */
  offer(video) {
    const { act, changed, reuseSeed } = this.handlers;
    const button = (words, does, kind) =>
      element("button", { type: "button", class: kind, onclick: () => act(does) }, words);
    const path = `v1/videos/${encodeURIComponent(this.id)}`;
    const cancel = async () => {
      await call(`${path}/cancel`, { method: "POST" });
      changed();
    };
    const remove = async () => {
      await call(path, { method: "DELETE" });
      changed();
    };
    this.actions.replaceChildren(
      ...(video.status === "completed"
        ? [button("Play", () => this.play(), "primary"), button("Download", () => this.download())]
        : []),
      ...(isUnfinished(video) ? [button("Cancel", cancel)] : []),
      this.removal(() => act(remove)),
    );
    this.receipt.replaceChildren(...(video.receipt ? [receiptDetails(video.receipt, reuseSeed)] : []));
  }

  /** Deleting wants a second press. */
  removal(remove) {
    const button = element("button", { type: "button", class: "quiet" }, "Delete");
    let sure = false;
    button.addEventListener("click", () => {
      if (sure) remove();
      sure = true;
      button.textContent = "Really delete";
    });
    button.addEventListener("blur", () => {
      sure = false;
      button.textContent = "Delete";
    });
    return button;
  }

  async play() {
    const address = await this.address();
    this.actions.querySelector(".primary")?.remove();
    this.screen.replaceChildren(
      element("video", { src: address, controls: true, autoplay: true, loop: true, playsinline: true }),
    );
    this.screen.firstChild.focus();
  }

  async download() {
    element("a", { href: await this.address(), download: `${this.id}.mp4` }).click();
  }

  /** The clip, fetched once: a key goes with a fetch, but not with the address of a video element. */
  async address() {
    this.fetched ??= URL.createObjectURL(
      await (await call(`v1/videos/${encodeURIComponent(this.id)}/content`)).blob(),
    );
    return this.fetched;
  }

  remove() {
    if (this.fetched) URL.revokeObjectURL(this.fetched);
    this.root.remove();
  }
}

function receiptDetails(receipt, reuseSeed) {
  return element("details", { class: "more" }, element("summary", {}, "Receipt"), receiptPanel(receipt, { reuseSeed }));
}
