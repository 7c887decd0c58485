// Addresses for other programs: the output page of the live session, and the code that embeds the anchor.

import { $, announce, message, once } from "/page/actions.js";
import { token } from "/page/api.js";
import { t } from "/page/texts.js";

export class Share {
  constructor(live, { anchor, failed }) {
    once($("output-copy"), async () => {
      if (!live.on) throw new Error(t("Go live first: the address is that of the live session."));
      await copy(address(`/output/${live.session.id}`), $("output-copy"));
    }, failed);
    once($("embed-copy"), () => {
      const code = `<iframe src="${address(`/embed/${encodeURIComponent(anchor())}`)}" width="480" height="440" allow="autoplay"></iframe>`;
      return copy(code, $("embed-copy"));
    }, failed);
  }
}

// The token is in the part after `#`, which browsers do not send.
const address = (path) => `${location.origin}${path}${token() ? `#token=${token()}` : ""}`;

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    message(t("Copied: {text}", { text }), button, { role: "status", kind: "note" });
  } catch {
    message(text, button, { role: "status", kind: "note" }); // to be copied by hand
  }
  announce(t("Copied"));
}
