export interface Slot {
  label: string;
  /** The piece of the text: `text.slice(start, end)`. */
  text: string;
  start: number;
  end: number;
  /** The same in bytes of UTF-8. */
  startByte: number;
  endByte: number;
  /** Probability that label, beginning and end are right; null where not calibrated. */
  score: number | null;
}

export interface Ranked {
  intent: string;
  /** Probability of the intent, whatever its slots. */
  score: number;
}

export interface Answer {
  intent: string;
  /** Probability that intent and slots are right, where calibrated; else the softmax of the intent. */
  score: number;
  /** Whether the parser has a calibration, so that scores are probabilities. */
  calibrated: boolean;
  /** Probability that the text is of the parser's kind; null where that is not known. */
  inScope: number | null;
  /** Whether the least score was not reached: intent and slots are a guess. */
  rejected: boolean;
  /** The most probable intents, that of the parse first, where they were asked for. */
  alternatives: Ranked[];
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
  parse(text: string | Uint8Array, options?: { truncate?: boolean; alternatives?: number; numbers?: false }): Answer;
  parse(text: string | Uint8Array, options: { truncate?: boolean; alternatives?: number; numbers: true }): Answer & Numbers;
  rank(text: string | Uint8Array, most?: number, options?: { truncate?: boolean }): Ranked[];
  /** Answer what is less probable with `rejected`, from the next text on: a number from 0 to 1, or the threshold of the calibration. */
  setMinScore(least: number | 'recommended'): void;
}

/** Whether this engine has relaxed SIMD that pays: then `load()` takes the module that needs it, and answers the same in less time. */
export function relaxed(): boolean;

export function load(source?: URL | string | Response | ArrayBuffer | ArrayBufferView | WebAssembly.Module): Promise<Parser>;
