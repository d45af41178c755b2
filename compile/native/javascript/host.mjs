// Texts as lines of base64 in, answers as lines of JSON out, in the form that `pqrnn conformance --answers` judges:
//
//   jq -r '(.cases + .long_cases)[].text' home.json | node host.mjs FOLDER [--truncate] [--module FILE] > answers.jsonl
//
// The module is one of the folder's; by default `load` chooses. An engine that does not take it ends with status 3.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, ...options] = process.argv.slice(2);
const { load } = await import(pathToFileURL(resolve(folder, 'index.js')));
const named = options.indexOf('--module') + 1;
const parser = await load(named ? pathToFileURL(resolve(folder, options[named])) : undefined).catch((error) => {
  if (!(error instanceof WebAssembly.CompileError)) throw error;
  console.error(`this Node does not take ${named ? options[named] : 'the module'}: ${error.message}`);
  process.exit(3);
});
const truncate = options.includes('--truncate');
if (options.includes('--recommended')) parser.setMinScore('recommended');
const tags = parser.tags.length;
const softmax = (logits, intent) => 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[intent]), 0);
const intents = parser.intents;
const pairs = (numbers, width) => Array.from({ length: numbers.length / width }, (_, row) => numbers.slice(row * width, (row + 1) * width));
const lines = readFileSync(0, 'ascii').split('\n').slice(0, -1);
const answers = lines.map((line, id) => {
  try {
    const said = parser.parse(new Uint8Array(Buffer.from(line, 'base64')), { truncate, numbers: true });
    return {
      id,
      intent: said.intent,
      score: softmax(said.intentLogits, intents.indexOf(said.intent)), // the uncalibrated one
      slots: said.slots.map((slot) => ({ label: slot.label, start: slot.startByte, end: slot.endByte })),
      words: pairs(said.spans, 2),
      intent_logits: said.intentLogits,
      tag_logits: pairs(said.tagLogits, tags),
      ...(said.calibrated
        ? { calibrated: { score: said.score, in_scope: said.inScope ?? undefined, slots: said.slots.map((slot) => slot.score) } }
        : {}),
      ...(said.rejected ? { rejected: true } : {}),
      ...(said.truncated ? { truncated: true, prefix: said.bytes } : {}),
    };
  } catch (error) {
    if (error.code !== 1) throw error;
    return { id, refused: true };
  }
});
process.stdout.write(answers.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
