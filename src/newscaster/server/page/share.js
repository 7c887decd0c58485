// Addresses for other programs: the output page of the live session, and the code that embeds the anchor.

import { $, announce, message, once } from "/page/actions.js";
import * as api from "/page/api.js";
import { t } from "/page/texts.js";

export class Share {
  constructor(live, { anchor, failed }) {
    once($("output-copy"), async () => {
      if (!live.on) throw new Error(t("Go live first: the address is that of the live session."));
      await copy(address(`/output/${live.session.id}`, live.session.watch_token), $("output-copy"));
    }, failed);
    once($("embed-copy"), async () => {
      const id = encodeURIComponent(anchor());
      const { embed_token: token } = await api.get(`/anchors/${id}`);
      const code = `<iframe src="${address(`/embed/${id}`, token)}" width="480" height="440" allow="autoplay"></iframe>`;
      return copy(code, $("embed-copy"));
    }, failed);
  }
}

// The token, which is for this address alone, is in the part after `#`, which browsers do not send.
const address = (path, token) => `${location.origin}${path}${token ? `#token=${encodeURIComponent(token)}` : ""}`;

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    message(t("Copied: {text}", { text }), button, { role: "status", kind: "note" });
  } catch {
    message(text, button, { role: "status", kind: "note" }); // to be copied by hand
  }
  announce(t("Copied"));
}
