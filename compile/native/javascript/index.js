// The parser of NAME for browsers and Node: text in, intent and slots out. No dependencies, no requests but for the .wasm beside this file.
//
//   import { load } from './index.js';
//   const parser = await load();
//   parser.parse('turn off the kitchen lights');  // { intent, score, inScope, slots: [{ label, text, start, end, score }], ... }

const OK = 0;
const TRUNCATE = 1;
const PAGE = 65536;
const ANSWER = 80; // bytes of the answer, and where its parts lie, as in the C header on a machine of 32 bits
const SLOT = 20;
const RANKED = 24;
const RECOMMENDED = -1;
// (func (export "f") (param i32 i32 i32) (result i32) (i32x4.extract_lane 0 (i32x4.relaxed_dot_i8x16_i7x16_add_s
//   (i8x16.splat (local.get 0)) (i8x16.splat (local.get 1)) (i32x4.splat (local.get 2)))))
const PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 127, 127, 127, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 22, 1, 20, 0],
  ...[32, 0, 253, 15, 32, 1, 253, 15, 32, 2, 253, 17, 253, 147, 2, 253, 27, 0, 11],
);

/** A text that cannot be parsed, or a module that cannot be used; `code` is that of the C header. */
export class ParserError extends Error {
  constructor(message, code) {
    super(message);
    this.name = 'ParserError';
    this.code = code;
  }
}

/**
 * Whether this engine has relaxed SIMD that pays: then there is a module that answers the same in less time.
 *
 * Node 20, which has it behind a flag, multiplies wrongly. An engine or a processor without an instruction for the dot product makes it of five
 * others, which pays for weights of 4 bits only. They add pairs of products in 16 bits and stop at their end: such sums never occur in the
 * module, but here they tell.
 */
export function relaxed() {
  if (!WebAssembly.validate(PROBE)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports;
  return f(-127, 1, 1000) === 1000 - 4 * 127 && (FEW_BITS || f(127, 255, 0) !== 2 * 32767);
}

/**
 * Load the parser.
 * @param source Nothing for the better .wasm beside this file; else a URL, a Response, bytes, or a WebAssembly.Module.
 */
export async function load(
  source = relaxed() ? new URL('PREFIX.relaxed.wasm', import.meta.url) : new URL('PREFIX.wasm', import.meta.url),
) {
  return new Parser(source instanceof WebAssembly.Module ? source : await WebAssembly.compile(await readBytes(await source)));
}

async function readBytes(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  if (typeof Response !== 'undefined' && source instanceof Response) return source.arrayBuffer();
  const url = new URL(source, import.meta.url);
  if (url.protocol === 'file:' && typeof process !== 'undefined') {
    const { readFile } = await import('node:fs/promises');
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new ParserError(`${url}: ${response.status} ${response.statusText}`, -1);
  return response.arrayBuffer();
}

/** A parser; it serves one call at a time, as JavaScript does. */
export class Parser {
  #call;
  #memory;
  #parser;
  #answer;
  #text;
  #encoder = new TextEncoder();
  #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #names = new Map();

  /** @param module A compiled WebAssembly.Module. */
  constructor(module) {
    const { exports } = new WebAssembly.Instance(module);
    const found = Object.keys(exports).find((name) => name.endsWith('_open_in'));
    if (!found) throw new ParserError('the module is no parser of `pqrnn native`', -1);
    const prefix = found.slice(0, -'open_in'.length);
    this.#call = (name, ...given) => exports[prefix + name](...given);
    if (this.#call('abi') >>> 16 !== 1) throw new ParserError('the module is of another version than this file', -1);
    this.#memory = exports.memory;
    const start = (exports.__heap_base.value + 63) & ~63;
    const size = this.#call('memory');
    this.#answer = (start + size + 63) & ~63;
    this.#text = this.#answer + 128;
    this.#reserve(this.#text + 4096);
    const opened = this.#answer;
    this.#check(this.#call('open_in', start, size, opened));
    this.#parser = this.#view().getUint32(opened, true);
  }

  /** Most bytes of UTF-8 that are read. */
  get mostBytes() {
    return this.#call('most_bytes');
  }

  /** Names of all intents, in the order of their logits. */
  get intents() {
    return Array.from({ length: this.#call('intents') }, (_, index) => this.#name(this.#call('intent_name', index)));
  }

  /** Names of all tags, in the order of their logits. */
  get tags() {
    return Array.from({ length: this.#call('tags') }, (_, index) => this.#name(this.#call('tag_name', index)));
  }

  /**
   * Parse a text.
   * @param text A string, or bytes of UTF-8. Positions of slots are those of `text.slice`; of bytes, of the string that they decode to.
   * @param options `truncate`: read what fits of a text that is too long, instead of throwing; `alternatives`: how many of the most
   *   probable intents to name, that of the parse first; `numbers`: add logits and spans.
   */
  parse(text, { truncate = false, alternatives = 0, numbers = false } = {}) {
    this.#run(text, truncate);
    const view = this.#view();
    const at = this.#answer;
    const shown = typeof text === 'string' ? text : this.#decoder.decode(text);
    const count = view.getInt32(at + 16, true);
    const slots = [];
    const units = new Units(shown);
    const calibrated = view.getInt32(at + 64, true) !== 0;
    const scores = view.getUint32(at + 72, true);
    for (let slot = view.getUint32(at + 36, true), left = count; left > 0; slot += SLOT, --left) {
      const start = units.at(view.getInt32(slot + 12, true));
      const end = units.at(view.getInt32(slot + 16, true));
      slots.push({
        label: this.#name(view.getUint32(slot, true)),
        text: shown.slice(start, end),
        start,
        end,
        startByte: view.getInt32(slot + 4, true),
        endByte: view.getInt32(slot + 8, true),
        score: calibrated ? view.getFloat64(scores + 8 * slots.length, true) : null,
      });
    }
    const inScope = view.getFloat64(at + 56, true);
    const words = view.getInt32(at + 8, true);
    const answer = {
      intent: this.#name(view.getUint32(at + 32, true)),
      score: view.getFloat64(at + 24, true),
      calibrated,
      inScope: inScope < 0 ? null : inScope,
      rejected: view.getInt32(at + 68, true) !== 0,
      slots,
      truncated: view.getInt32(at + 12, true) !== 0,
      words,
      alternatives: [],
    };
    if (numbers) {
      const read = (Kind, offset, length) => Array.from(new Kind(this.#memory.buffer, view.getUint32(at + offset, true), length));
      answer.bytes = view.getInt32(at + 20, true);
      answer.intentLogits = read(Float32Array, 40, this.#call('intents'));
      answer.tagLogits = read(Float32Array, 44, words * this.#call('tags'));
      answer.spans = read(Int32Array, 48, 2 * words);
    }
    if (alternatives > 0) answer.alternatives = this.#list('alternatives', alternatives);
    return answer;
  }

  /**
   * Answer what is less probable with `rejected`, from the next text on.
   * @param least A score from 0, which rejects nothing, to 1; or `'recommended'`, the threshold of the calibration.
   */
  setMinScore(least) {
    this.#check(this.#call('set_min_score', this.#parser, least === 'recommended' ? RECOMMENDED : least < 0 ? NaN : least));
  }

  /** The most probable intents of a text, the first first. The intent of a parse fits its slots, and is not always the first here. */
  rank(text, most = 5, { truncate = false } = {}) {
    this.#run(text, truncate);
    return this.#list('rank', most);
  }

  #list(name, most) {
    const wanted = Math.max(0, Math.min(most, this.#call('intents')));
    const at = (this.#text + 7) & ~7;
    this.#reserve(at + wanted * RANKED);
    const count = this.#call(name, this.#parser, at, wanted);
    const view = this.#view();
    return Array.from({ length: count }, (_, index) => ({
      intent: this.#name(view.getUint32(at + index * RANKED, true)),
      score: view.getFloat64(at + index * RANKED + 8, true),
    }));
  }

  #run(text, truncate) {
    const bytes = typeof text === 'string' ? this.#encoder.encode(text) : text;
    this.#reserve(this.#text + bytes.length);
    new Uint8Array(this.#memory.buffer).set(bytes, this.#text);
    this.#view().setUint32(this.#answer, ANSWER, true);
    this.#check(this.#call('parse', this.#parser, this.#text, bytes.length, truncate ? TRUNCATE : 0, this.#answer));
  }

  #check(status) {
    if (status !== OK) throw new ParserError(this.#name(this.#call('message', status)), status);
  }

  #reserve(end) {
    const missing = end - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
  }

  #view() {
    return new DataView(this.#memory.buffer);
  }

  #name(pointer) {
    let name = this.#names.get(pointer);
    if (name === undefined) {
      const bytes = new Uint8Array(this.#memory.buffer);
      name = this.#decoder.decode(bytes.slice(pointer, bytes.indexOf(0, pointer)));
      this.#names.set(pointer, name);
    }
    return name;
  }
}

/** From code points to UTF-16 units, in growing order. */
class Units {
  #text;
  #points = 0;
  #units = 0;

  constructor(text) {
    this.#text = text;
  }

  at(point) {
    for (; this.#points < point; ++this.#points) this.#units += this.#text.codePointAt(this.#units) > 0xffff ? 2 : 1;
    return this.#units;
  }
}
