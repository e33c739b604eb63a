// Signs apps in the browser (docs/protocol.md, section 5), as lab/publisher.py does it. The key stays in this page.

const P256 = { name: "ECDSA", namedCurve: "P-256" };
const ES256 = { name: "ECDSA", hash: "SHA-256" }; // WebCrypto's signature is r, then s, as COSE has it
const VENDOR = "lab";
const TRIAL_POLLS = 3;
const TRIAL_TIME = 10000; // ms
/** What a module without a manifest may use: what touches nothing else (lab/sdk/validate.py). */
export const HARMLESS = ["log", "clock", "publish", "kv", "system-info"];

const sha256 = async (content) => new Uint8Array(await crypto.subtle.digest("SHA-256", content));
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const fromBase64Url = (text) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

// -- the publisher's key

/** An element of DER (X.690, section 8.1) of less than 64 KiB. */
function der(tag, content) {
  const size = content.length;
  return join([tag, ...(size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff])], content);
}
// Version 0, then id-ecPublicKey on prime256v1: how PKCS #8 (RFC 5208, section 5) introduces a key of RFC 5915.
const INTRODUCTION = [2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/** The PKCS #8 of a PEM file, which may also hold the key as SEC 1 has it ("EC PRIVATE KEY"). */
function pkcs8(text) {
  const [, kind, body] = /-----BEGIN ((?:\w+ )?PRIVATE KEY)-----([^]+?)-----END \1-----/.exec(text) ?? [];
  if (!kind) throw new Error("it holds no private key");
  if (kind.startsWith("ENCRYPTED") || body.includes("ENCRYPTED")) throw new Error("it is locked with a passphrase");
  const key = fromBase64(body);
  return kind === "EC PRIVATE KEY" ? der(0x30, join(INTRODUCTION, der(4, key))) : key;
}

/** Reads a publisher's private key. What is kept of it signs, and cannot be read out again. */
export async function readKey(file) {
  try {
    const content = pkcs8(await file.slice(0, 1 << 16).text());
    // Readable for this moment alone: a publisher is known by the public half.
    const readable = await crypto.subtle.importKey("pkcs8", content, P256, true, ["sign"]);
    const { x, y } = await crypto.subtle.exportKey("jwk", readable);
    const point = join([4], fromBase64Url(x), fromBase64Url(y));
    return { id: (await sha256(point)).slice(0, 8), key: await crypto.subtle.importKey("pkcs8", content, P256, false, ["sign"]) };
  } catch (error) {
    const why = error instanceof DOMException ? "it is no P-256 key in PEM" : error.message;
    throw new Error(`${file.name} cannot be used to sign: ${why}`);
  }
}

// -- CBOR (RFC 8949), encoded deterministically (section 4.2): maps have their keys in order already

function head(major, value) {
  if (value < 24) return Uint8Array.of(major << 5 | value);
  const width = value < 0x100 ? 0 : value < 0x10000 ? 1 : 2;
  const made = new DataView(new ArrayBuffer(1 + (1 << width)));
  made.setUint8(0, major << 5 | 24 + width);
  [made.setUint8, made.setUint16, made.setUint32][width].call(made, 1, value);
  return new Uint8Array(made.buffer);
}

function encode(value) {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (value instanceof Uint8Array) return join(head(2, value.length), value);
  if (typeof value === "string") { const text = new TextEncoder().encode(value); return join(head(3, text.length), text); }
  if (Array.isArray(value)) return join(head(4, value.length), ...value.map(encode));
  return join(head(5, value.size), ...[...value].flat().map(encode));
}

/** What items, one after the other, hold, if that is what packages are made of: numbers, bytes, texts, lists, maps; tags are left out. */
function decode(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.length); // throws beyond its end
  let at = 0;
  const length = (info) => {
    if (info < 24) return info;
    if (info > 26) throw new RangeError("no such length");
    const width = info - 24, value = [view.getUint8, view.getUint16, view.getUint32][width].call(view, at);
    at += 1 << width;
    return value;
  };
  const item = () => {
    const first = view.getUint8(at++), count = length(first & 0x1f);
    switch (first >> 5) {
      case 0: return count;
      case 1: return -1 - count;
      case 2: at += count; if (at > content.length) throw new RangeError("cut off"); return content.slice(at - count, at);
      case 3: at += count; return new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(at - count, at));
      case 4: return collect(count, item);
      case 5: return new Map(collect(count, () => [item(), item()]));
      case 6: return item();
      default: throw new TypeError("not of a package");
    }
  };
  const collect = (count, make) => { const made = []; while (made.length < count) made.push(make()); return made; };
  const items = [];
  while (at < content.length) items.push(item());
  if (at !== content.length) throw new RangeError("something is missing");
  return items;
}

// -- modules

/** The content of a custom section (WebAssembly core specification, 5.5.3), if a module has it. */
function customSection(module, name) {
  let at = 8;
  const unsigned = () => { // LEB128, 5.2.2
    let value = 0, scale = 1, byte;
    do { byte = module[at++] ?? 0; value += (byte & 0x7f) * scale; scale *= 0x80; } while (byte & 0x80);
    return value;
  };
  while (at < module.length) {
    const kind = module[at++], size = unsigned(), end = at + size;
    if (kind === 0) {
      const length = unsigned(), start = at + length;
      if (new TextDecoder().decode(module.subarray(at, start)) === name) return module.subarray(start, end);
    }
    at = end;
  }
  return null;
}

/** What a module asks to be allowed, as `manifest` of the schema. */
function manifest(module, name) {
  const section = customSection(module, "lab:manifest");
  if (!section) return new Map([[0, 1], [1, HARMLESS], [2, []], [3, 0], [4, 0]]);
  try {
    const [asked, ...more] = decode(section);
    if (more.length) throw new RangeError("something follows");
    return new Map([0, 1, 2, 3, 4].map((key) => {
      if (!asked.has(key)) throw new TypeError("incomplete");
      return [key, asked.get(key)];
    }));
  } catch {
    throw new Error(`${name} carries a manifest that is none`);
  }
}

// -- packages

let last = 0;
/** Orders versions: Unix time in seconds, or one more than was used last, here or (`above`) elsewhere. */
const nextSequence = (above = 0) => { last = Math.max(Math.floor(Date.now() / 1000), last + 1, above + 1); return last; };

/** Makes a package of a module: COSE_Sign1 (RFC 9052, section 4.2) of what is claimed of it, then the module. */
export async function sign(publisher, name, module, version = "") {
  return seal(publisher, new Map([
    [0, 1], [1, name], [2, version], [3, nextSequence()], [4, VENDOR], [5, []], [6, module.length],
    [7, await sha256(module)], [8, manifest(module, name)], [9, TRIAL_POLLS], [10, TRIAL_TIME],
  ]), module);
}

/** Makes a package anew as the newest version, above number `above`: how an older one gets past devices that only go up. */
export async function signAgain(publisher, content, above) {
  const [[, , claims], module] = decode(content);
  const [claimed] = decode(claims);
  return seal(publisher, claimed.set(3, nextSequence(above)), module);
}

async function seal(publisher, what, module) {
  const claims = encode(what);
  const protectedHeader = encode(new Map([[1, -7], [4, publisher.id]]));
  const toBeSigned = encode(["Signature1", protectedHeader, new Uint8Array(), claims]); // RFC 9052, section 4.4
  const signature = new Uint8Array(await crypto.subtle.sign(ES256, publisher.key, toBeSigned));
  return join([0xd2], encode([protectedHeader, new Map(), claims, signature]), encode(module));
}

/**
 * Has a file input take a publisher's key. Returns what signs a module with it, or leaves it as it is if there is none;
 * its `again` signs a package anew.
 */
export function signer(input, note) {
  let publisher = Promise.resolve(null);
  input?.addEventListener("change", async () => {
    const [file] = input.files;
    const reading = publisher = file ? readKey(file) : Promise.resolve(null);
    try {
      const found = await reading;
      if (publisher !== reading) return; // another was chosen meanwhile
      note.textContent = found ? `Signs as publisher ${[...found.id].map((byte) => byte.toString(16).padStart(2, "0")).join("")}.` : "";
    } catch (error) {
      if (publisher === reading) note.textContent = error.message;
    }
  });
  const ready = async (name, module, version) => {
    const found = await publisher;
    return found ? sign(found, name, module, version) : module;
  };
  ready.again = async (content, above) => signAgain(await publisher, content, above);
  return ready;
}
