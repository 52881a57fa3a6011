// The parts of the page, one shown at a time; the address names it, and arrow keys go from tab to tab.

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

export class Tabs {
  /** `list` holds the tabs, each of which names its panel by `aria-controls`; hidden tabs do not count. */
  constructor(list) {
    this.tabs = [...list.querySelectorAll("[role=tab]")].filter((tab) => !tab.hidden);
    list.addEventListener("click", (event) => {
      const tab = event.target.closest("[role=tab]");
      if (tab) this.show(nameOf(tab));
    });
    list.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => this.showAddressed());
    this.showAddressed();
  }

  /** Shows a part and names it in the address. */
  show(name) {
    if (name !== this.shown) history.replaceState(null, "", `#${name}`);
    this.shown = name;
    for (const tab of this.tabs) {
      const selected = nameOf(tab) === name;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      const panel = document.getElementById(nameOf(tab));
      panel.hidden = !selected;
      if (selected) panel.dispatchEvent(new Event("shown"));
    }
  }

  showAddressed() {
    const named = this.tabs.find((tab) => `#${nameOf(tab)}` === location.hash);
    this.show(nameOf(named ?? this.tabs[0]));
  }

  key(event) {
    const place = this.tabs.indexOf(document.activeElement);
    const ends = { Home: 0, End: this.tabs.length - 1 };
    const next = event.key in KEYS ? place + KEYS[event.key] : ends[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = this.tabs.at(next % this.tabs.length);
    tab.focus();
    this.show(nameOf(tab));
  }
}

function nameOf(tab) {
  return tab.getAttribute("aria-controls");
}
