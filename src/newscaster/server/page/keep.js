// What has been typed and chosen, kept in this tab: a reload loses none of it.

const KEPT = "newscaster-fields";

const read = () => JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");

export const kept = (name) => read()[name];

export function keep(name, value) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ ...read(), [name]: value }));
  } catch {
    // The browser's storage is full, or not allowed: the page works without it.
  }
}
