// The cluster at a glance: who waits, who works, how long the work will take.

import { element, svg } from "./element.js";
import { poll } from "./polling.js";
import { read, ServerError } from "./server.js";
import { count, seconds } from "./words.js";

const EVERY_S = 2;
const REMEMBERED = 60;
const CHART = { width: 120, height: 28 };

export class Cluster {
  constructor(panel) {
    this.queued = new Map();
    this.cards = element("div", { class: "cluster-cards" });
    this.note = element("p", { class: "fault", role: "alert" });
    panel.append(this.note, this.cards);
    poll(panel, () => this.ask());
  }

  async ask() {
    try {
      const { models } = await read("v1/status", { asksForKey: false });
      this.note.textContent = "";
      this.show(models);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.note.textContent = error.message;
    }
    return EVERY_S;
  }

  show(models) {
    this.cards.replaceChildren(...models.map((model) => this.card(model)));
  }

  card({ model, queued, pools }) {
    const history = [...(this.queued.get(model) ?? []), queued].slice(-REMEMBERED);
    this.queued.set(model, history);
    return element(
      "article",
      { class: "cluster-card panel", "aria-label": model },
      element("h2", {}, model),
      element(
        "div",
        { class: "queue" },
        element("p", {}, element("strong", {}, String(queued)), " waiting"),
        chart(history),
      ),
      element("ul", { class: "pools" }, pools.map(poolLine)),
    );
  }
}

function poolLine({ pool, idle, busy, backlog_s: backlogS }) {
  const dots = [...Array(busy).fill("busy"), ...Array(idle).fill("idle")];
  const replicas = idle + busy === 0 ? "no replica runs" : `${busy} of ${count(idle + busy, "replica")} busy`;
  return element(
    "li",
    {},
    element("span", { class: "pool-name" }, pool),
    element(
      "span",
      { class: "dots", "aria-hidden": "true" },
      dots.map((state) => element("span", { class: "dot", "data-state": state })),
    ),
    element("span", { class: "soft" }, replicas),
    element("span", { class: "soft backlog" }, backlogS > 0 ? `${seconds(backlogS)} of work` : "no work waits"),
  );
}

/** How many waited at the last readings, the newest on the right. */
function chart(history) {
  const most = Math.max(...history, 1);
  const x = (place) => CHART.width - (history.length - 1 - place) * (CHART.width / (REMEMBERED - 1));
  const y = (queued) => CHART.height - 2 - (queued / most) * (CHART.height - 4);
  const points = history.map((queued, place) => `${x(place).toFixed(1)},${y(queued).toFixed(1)}`);
  return svg(
    "svg",
    {
      class: "queue-chart",
      viewBox: `0 0 ${CHART.width} ${CHART.height}`,
      role: "img",
      "aria-label": `At most ${Math.max(...history)} waited in the last ${count(history.length * EVERY_S, "second")}`,
    },
    svg("polyline", { points: points.join(" ") }),
  );
}
