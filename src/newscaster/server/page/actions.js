// Buttons that act once per press, and messages beside their control.

const AGAIN_MS = 500; // a press within this time belongs to the one before: a double click, or a held key

export const $ = (id) => document.getElementById(id);

export function announce(text) {
  $("announce").textContent = text;
}

// Messages

const BESIDE = ".controls, .row, .task, .transport, .anchors, .fields, .drop, .screen, li, .videos h2";
let shown = null;

export function quiet() {
  shown?.remove();
  shown = null;
}

// Shows a message beside a control, in a new element each time: screen readers announce added elements.
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

// Runs `action` once, however often the button is pressed meanwhile. `failed` gets its errors. A new button in the place of
// one that was just pressed ignores the second half of a double click.
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

// Moves the focus from a control that is removed to one that stays, if it has the focus.
export function handFocus(from, to) {
  if (from.includes(document.activeElement)) to.focus({ preventScroll: true });
}
