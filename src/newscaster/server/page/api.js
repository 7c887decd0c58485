// The studio's API, with the token where one is asked for. It stays in this tab, and never in an address.

const KEPT = "newscaster-token";

const fromAddress = new URLSearchParams(location.hash.slice(1)).get("token");
if (fromAddress) {
  sessionStorage.setItem(KEPT, fromAddress);
  history.replaceState(null, "", location.pathname);
}

export const token = () => sessionStorage.getItem(KEPT);
export const setToken = (given) => sessionStorage.setItem(KEPT, given);

export const SILENT = "The studio does not answer. Is it still running?";

// What the studio refuses, in its own words.
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
    const told = await reply.json().catch(() => ({}));
    throw new Refused(told.error ?? `The studio answered ${reply.status}.`, reply.status);
  }
  return reply;
}

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, body) => (await request("POST", path, body)).json();
export const patch = async (path, body) => (await request("PATCH", path, body)).json();
export const upload = async (path, file) => (await request("POST", path, file, { kind: file.type || "application/octet-stream" })).json();
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
