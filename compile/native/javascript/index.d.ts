export interface Slot {
  label: string;
  /** The piece of the text: `text.slice(start, end)`. */
  text: string;
  start: number;
  end: number;
  /** The same in bytes of UTF-8. */
  startByte: number;
  endByte: number;
}

export interface Answer {
  intent: string;
  /** Probability of the intent. */
  score: number;
  slots: Slot[];
  /** Whether the end of the text was left out. */
  truncated: boolean;
  /** Words that were read. */
  words: number;
}

export interface Numbers {
  /** Bytes that were read. */
  bytes: number;
  intentLogits: number[];
  /** A row of tags for each word. */
  tagLogits: number[];
  /** First byte of each word, and the byte after its last. */
  spans: number[];
}

export class ParserError extends Error {
  code: number;
}

export class Parser {
  constructor(module: WebAssembly.Module);
  readonly mostBytes: number;
  readonly intents: string[];
  readonly tags: string[];
  parse(text: string | Uint8Array, options?: { truncate?: boolean; numbers?: false }): Answer;
  parse(text: string | Uint8Array, options: { truncate?: boolean; numbers: true }): Answer & Numbers;
  rank(text: string | Uint8Array, most?: number, options?: { truncate?: boolean }): { intent: string; score: number }[];
}

export function load(source?: URL | string | Response | ArrayBuffer | ArrayBufferView | WebAssembly.Module): Promise<Parser>;
