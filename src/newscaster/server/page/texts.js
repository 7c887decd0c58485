// The texts of the page. English texts are written where they are used; a table translates them.

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
