// Tabs, with arrow keys. The open tab stays open after a reload.

import { $ } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

export function selectTab(tab) {
  for (const other of tabs) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", isChosen);
    other.tabIndex = isChosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !isChosen;
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
