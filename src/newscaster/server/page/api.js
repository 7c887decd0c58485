// The API of the studio, with its token, if any. The token stays in this tab, and never in a URL.

import { t } from "/page/texts.js";

const TOKEN_KEY = "newscaster-token";

const fromUrl = new URLSearchParams(location.hash.slice(1)).get("token");
if (fromUrl) {
  sessionStorage.setItem(TOKEN_KEY, fromUrl);
  history.replaceState(null, "", location.pathname);
}

export const token = () => sessionStorage.getItem(TOKEN_KEY);
export const setToken = (value) => sessionStorage.setItem(TOKEN_KEY, value);

export const SILENT = t("The studio does not answer. Is it still running?");

// A rejected request, with the message of the studio.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function request(method, path, body, { kind, keepalive = false } = {}) {
  const headers = {};
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["Content-Type"] = kind ?? "application/json";
  let reply;
  try {
    reply = await fetch(`/v1${path}`, {
      method,
      headers,
      keepalive,
      body: body === undefined ? undefined : kind ? body : JSON.stringify(body),
    });
  } catch {
    throw new Refused(SILENT, 0);
  }
  if (!reply.ok) {
    const refusal = await reply.json().catch(() => ({}));
    throw new Refused(refusal.error ?? `The studio answered ${reply.status}.`, reply.status);
  }
  return reply;
}

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, body) => (await request("POST", path, body)).json();
export const patch = async (path, body) => (await request("PATCH", path, body)).json();
export const upload = async (path, file) => (await request("POST", path, file, { kind: file.type || "application/octet-stream" })).json();

// Uploads a file; `onProgress` gets the fraction that was sent. fetch cannot report it. An aborted `signal` rejects with null.
export function uploadSlowly(path, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", `/v1${path}`);
    if (token()) sending.setRequestHeader("Authorization", `Bearer ${token()}`);
    sending.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    sending.responseType = "json";
    sending.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    sending.onload = () => {
      if (sending.status < 300) resolve(sending.response);
      else reject(new Refused(sending.response?.error ?? `The studio answered ${sending.status}.`, sending.status));
    };
    sending.onerror = () => reject(new Refused(SILENT, 0));
    sending.onabort = () => reject(null);
    signal.addEventListener("abort", () => sending.abort());
    sending.send(file);
  });
}

export const remove = (path, options) => request("DELETE", path, undefined, options);
export const blobUrl = async (path) => URL.createObjectURL(await (await request("GET", path.replace(/^\/v1/, ""))).blob());

export function socket(path) {
  const url = new URL(`/v1${path}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const made = new WebSocket(url);
  made.binaryType = "arraybuffer";
  if (token()) made.addEventListener("open", () => made.send(JSON.stringify({ token: token() })));
  return made;
}

export async function download(path, name) {
  const url = await blobUrl(path);
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
