// Tabs: arrow keys move between them, as everywhere. The one that is open stays so when the page is loaded again.

import { $ } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

export function selectTab(tab) {
  for (const one of tabs) {
    const isChosen = one === tab;
    one.setAttribute("aria-selected", isChosen);
    one.tabIndex = isChosen ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !isChosen;
  }
  keep("tab", tab.id);
}

export function startTabs() {
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => selectTab(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      selectTab(next);
      next.focus();
    });
  });
  selectTab($(kept("tab")) ?? tabs[0]);
}
