// The studio: reads what the server serves, and builds the parts that it can do.

import { Cluster } from "./cluster.js";
import { Compare } from "./compare.js";
import { Create } from "./create.js";
import { EDIT_TASKS, loadCatalogue, PICTURE_TASKS, VIDEO_TASKS } from "./catalogue.js";
import { Edit } from "./edit.js";
import { failurePanel } from "./failure.js";
import { enteredKey, forgetKey } from "./key_entry.js";
import { ServerError } from "./server.js";
import { Tabs } from "./tabs.js";
import { Videos } from "./videos.js";

const at = (id) => document.getElementById(id);

async function begin() {
  at("opening").replaceChildren();
  try {
    build(await loadCatalogue());
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    at("opening").replaceChildren(failurePanel(error, { again: begin }));
  }
}

function build(catalogue) {
  let tabs = null;
  const can = (tasks) => catalogue.modelsFor(tasks).length > 0;
  const part = (name, tasks, make) => {
    at(`${name}-tab`).hidden = !can(tasks);
    return can(tasks) ? make(at(name)) : null;
  };
  const compare = part("compare", PICTURE_TASKS, (panel) => new Compare(panel, catalogue));
  const edit = part("edit", EDIT_TASKS, (panel) => new Edit(panel, catalogue));
  part("create", PICTURE_TASKS, (panel) => {
    const handOver = (name, act) =>
      act &&
      ((...given) => {
        tabs.show(name);
        act(...given);
      });
    return new Create(panel, catalogue, {
      compare: handOver("compare", (request) => compare.begin(request)),
      edit: handOver("edit", edit && ((blob, request) => edit.begin(blob, request))),
    });
  });
  part("videos", VIDEO_TASKS, (panel) => new Videos(panel, catalogue));
  at("cluster-tab").hidden = false;
  new Cluster(at("cluster"));
  tabs = new Tabs(at("tabs"));
}

function showForgetting() {
  at("forget-key").hidden = enteredKey() === null;
}

at("forget-key").addEventListener("click", forgetKey);
document.addEventListener("keychange", showForgetting);
showForgetting();
begin();
