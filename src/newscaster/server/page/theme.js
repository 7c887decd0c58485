// Light and dark: follows the system until the button is pressed.

import { $, message, once } from "/page/actions.js";

const THEME = "newscaster-theme";

function show() {
  const theme = localStorage.getItem(THEME);
  if (theme) document.documentElement.dataset.theme = theme;
}

function toggle() {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark";
  localStorage.setItem(THEME, isDark ? "light" : "dark");
  show();
}

export function startTheme() {
  once($("theme"), toggle, (error) => message(error.message));
  show();
}
