/** One element of DER: its tag, its content, and the bytes of the whole. */
export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

/** What was read is not DER, or not of the shape that was expected. The message may be shown to whoever sent it. */
export class NotDer extends Error {
  override readonly name: string = "NotDer";
}

/**
 * The one element that fills these bytes. Strict: definite and shortest lengths only, tags below 31, nothing behind the end
 * (X.690 section 10). What another reader might understand otherwise is refused, so that two readers never disagree.
 */
export function readOne(bytes: Uint8Array): Element {
  const [element, ...more] = readAll(bytes);
  if (element === undefined || more.length > 0) throw new NotDer("holds more or less than one element");
  return element;
}

/** The elements that fill these bytes, side by side. Never descends: a reader of shapes asks level by level. */
export function readAll(bytes: Uint8Array): readonly Element[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: Element[] = [];
  for (let at = 0; at < buffer.length;) {
    const element = elementAt(buffer, at);
    found.push(element);
    at += element.whole.length;
  }
  return found;
}

function elementAt(buffer: Buffer, start: number): Element {
  const tag = buffer[start] ?? 0;
  if ((tag & 0x1f) === 0x1f) throw new NotDer("has a tag of several bytes");
  let size = buffer[start + 1];
  let at = start + 2;
  if (size === undefined) throw new NotDer("ends early");
  if (size >= 0x80) {
    const count = size & 0x7f;
    if (count === 0 || count > 4 || at + count > buffer.length) throw new NotDer("has a length that DER does not allow");
    size = buffer.readUIntBE(at, count);
    at += count;
    if (size < 0x80 || size < 2 ** (8 * (count - 1))) throw new NotDer("has a length that could be shorter");
  }
  if (at + size > buffer.length) throw new NotDer("ends early");
  return { tag, content: buffer.subarray(at, at + size), whole: buffer.subarray(start, at + size) };
}

/** The members of an element that must have this tag. */
export function membersOf(element: Element | undefined, tag: number): readonly Element[] {
  if (element?.tag !== tag) throw new NotDer("is not of the expected shape");
  return readAll(element.content);
}

/** An object identifier as people write it. */
export function oidOf(element: Element | undefined): string {
  if (element?.tag !== 0x06 || element.content.length === 0 || element.content.length > 32) throw new NotDer("lacks an identifier");
  const arcs: number[] = [];
  let value = 0;
  for (const byte of element.content) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    arcs.push(value);
    value = 0;
  }
  if ((element.content.at(-1) ?? 0) >= 0x80) throw new NotDer("has an identifier that ends early");
  const first = arcs[0] ?? 0;
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...arcs.slice(1)].join(".");
}

/** A BIT STRING of whole bytes. */
export function bitsOf(element: Element | undefined): Buffer {
  if (element?.tag !== 0x03 || element.content[0] !== 0) throw new NotDer("lacks a signature of whole bytes");
  return element.content.subarray(1);
}

/** Extensions by identifier; each may be there once (RFC 5280 section 4.2). */
export function extensionsOf(list: Element | undefined): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const each of membersOf(list, 0x30)) {
    const parts = membersOf(each, 0x30);
    const value = parts.at(-1);
    const id = oidOf(parts[0]);
    const critical = parts.length === 3 ? parts[1] : undefined;
    if (parts.length < 2 || parts.length > 3 || value?.tag !== 0x04) throw new NotDer("has an extension of no known shape");
    if (critical !== undefined && (critical.tag !== 0x01 || critical.content.length !== 1 || critical.content[0] !== 0xff))
      throw new NotDer("has an extension of no known shape");
    if (found.has(id)) throw new NotDer("has an extension twice");
    found.set(id, value.content);
  }
  return found;
}

/** Whether `basicConstraints` says that its subject may sign certificates. */
export function saysCa(value: Buffer | undefined): boolean {
  if (value === undefined) return false;
  const [first] = membersOf(readOne(value), 0x30);
  // an explicit FALSE is not DER, but says what it says
  return first?.tag === 0x01 && first.content[0] !== 0;
}
