// Buttons that do a thing once, and messages beside the control that they are about.

const AGAIN_MS = 500; // a press that follows another sooner belongs to it: a double click, a key that is held

export const $ = (id) => document.getElementById(id);

export function announce(text) {
  $("announce").textContent = text;
}

// Messages

const BESIDE = ".controls, .row, .anchors, .fields, .drop, .screen, li, .videos h2";
let shown = null;

export function quiet() {
  shown?.remove();
  shown = null;
}

// Shows a message beside a control. It is a new element each time: screen readers read out what is added.
export function message(text, control, { role = "alert", kind = "error" } = {}) {
  quiet();
  const beside = control?.closest(BESIDE);
  shown = Object.assign(document.createElement("p"), { id: "message", className: `message ${kind}`, textContent: text });
  shown.setAttribute("role", role);
  if (beside?.tagName === "LI") beside.append(shown);
  else if (beside) beside.after(shown);
  else $("speech").append(shown);
  shown.scrollIntoView({ block: "nearest" });
}

// Buttons

// Does `action` once, however often the button is pressed meanwhile. `failed` gets what it throws. A button that is new
// where another was pressed just now does not take the second half of a double click for a press of its own.
export function once(button, action, failed, { isNew = false } = {}) {
  let busy = false;
  let again = isNew ? performance.now() + AGAIN_MS : 0;
  button.addEventListener("click", async (event) => {
    const isAgain = busy || event.detail > 1 || performance.now() < again;
    again = performance.now() + AGAIN_MS;
    if (isAgain) return;
    busy = true;
    button.setAttribute("aria-busy", "true");
    quiet();
    try {
      await action(event);
    } catch (error) {
      failed(error, button);
    } finally {
      busy = false;
      button.removeAttribute("aria-busy");
    }
  });
}

// Focus

// Moves the focus from a control that goes away to one that stays; leaves it alone if it is elsewhere.
export function handFocus(from, to) {
  if (from.includes(document.activeElement)) to.focus({ preventScroll: true });
}
