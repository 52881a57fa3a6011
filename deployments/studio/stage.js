// The place where a request shows: nothing yet, its progress, its result, or what went wrong.

import { announce } from "./announce.js";
import { element } from "./element.js";
import { failurePanel } from "./failure.js";
import { Progress } from "./progress.js";
import { isAbort, ServerError } from "./server.js";

export class Stage {
  /** `idle` is what stands here before the first request. */
  constructor(idle) {
    this.root = element("div", { class: "stage" });
    this.idle = element("p", { class: "idle" }, idle);
    this.root.append(this.idle);
  }

  show(...nodes) {
    this.root.replaceChildren(...nodes);
  }

  /**
   * Runs the request of a form. `work` is given `{ signal, progress }` and returns what is to be shown;
   * `size` is that of the picture to come. The form's Cancel button ends it.
   */
  async run(form, size, work) {
    const controller = new AbortController();
    const progress = new Progress(size);
    form.cancelButton.onclick = () => controller.abort();
    form.busy = true;
    this.show(progress.root);
    this.comeIntoView();
    try {
      this.show(...(await work({ signal: controller.signal, progress })));
      announce("Done");
    } catch (error) {
      if (isAbort(error)) this.cancelled();
      else if (error instanceof ServerError) this.failed(error, form);
      else throw error;
    } finally {
      progress.end();
      form.busy = false;
    }
  }

  /** On a phone the stage lies below the form. */
  comeIntoView() {
    if (this.root.getBoundingClientRect().top > window.innerHeight / 2) this.root.scrollIntoView();
  }

  cancelled() {
    this.show(element("p", { class: "idle" }, "Cancelled."));
    announce("Cancelled");
  }

  failed(error, form) {
    form.mark(error.param);
    const again = () => form.root.requestSubmit();
    const withDeadline = (milliseconds) => {
      form.fields.deadline.value = milliseconds;
      again();
    };
    this.show(failurePanel(error, { again, withDeadline }));
  }
}
