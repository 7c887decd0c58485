// The texts of the page. The code has the English ones, and a table their translations.

import { de } from "/page/de.js";

const CHOICE = "newscaster-language";
const TABLES = { en: {}, de };

const wanted = () => [localStorage.getItem(CHOICE), ...navigator.languages].filter(Boolean).map((tag) => tag.slice(0, 2));

export const language = wanted().find((code) => code in TABLES) ?? "en";

// Returns a text in the language of the page. `{name}` in it is replaced with the value of this name.
export function t(text, values = {}) {
  const translated = TABLES[language][text] ?? text;
  return translated.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const ATTRIBUTES = ["aria-label", "placeholder", "title", "alt"];

// Translates the texts and attributes of a page, which is written in English.
export function translate(page) {
  page.documentElement.lang = language;
  if (language === "en") return;
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { data } = walk.currentNode;
    if (data.trim()) walk.currentNode.data = data.replace(/\S(?:[\s\S]*\S)?/, (text) => t(text));
  }
  for (const name of ATTRIBUTES) {
    for (const element of page.body.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
  }
}

// Lets a select choose the language; its empty value is that of the browser. The page is loaded again.
export function chooseWith(select) {
  select.value = localStorage.getItem(CHOICE) ?? "";
  select.addEventListener("change", () => {
    if (select.value) localStorage.setItem(CHOICE, select.value);
    else localStorage.removeItem(CHOICE);
    location.reload();
  });
}
