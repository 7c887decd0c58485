// Input and choices, stored in this tab, so that a reload keeps them.

const FIELDS_KEY = "newscaster-fields";

const read = () => JSON.parse(sessionStorage.getItem(FIELDS_KEY) ?? "{}");

export const kept = (name) => read()[name];

export function keep(name, value) {
  try {
    sessionStorage.setItem(FIELDS_KEY, JSON.stringify({ ...read(), [name]: value }));
  } catch {
    // The storage is full or not allowed: the page works without it.
  }
}
