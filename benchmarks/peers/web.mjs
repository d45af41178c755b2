// Times a parser of `pqrnn native -t webassembly` beside ONNX Runtime Web in Node, call by call in turn.
//
// node web.mjs REQUEST.json, which has: `parser` (folder of the npm package), `runtime` (folder of onnxruntime-web),
// `models` ({name: path of an ONNX file}), `texts`, `features` (a file of float32, [texts, 1, words, size]), `words`,
// `size`, `rounds`. Prints {name: [microseconds of each text, the median of its rounds]}.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const request = JSON.parse(readFileSync(process.argv[2], 'utf-8'));
const { load } = await import(pathToFileURL(resolve(request.parser, 'index.js')));
const ort = await import(pathToFileURL(resolve(request.runtime, 'dist', 'ort.wasm.min.mjs')));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';
const parser = await load();
const bytes = readFileSync(request.features);
const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const length = request.words * request.size;
const inputs = request.texts.map(
  (_, index) => new ort.Tensor('float32', all.slice(index * length, (index + 1) * length), [1, request.words, request.size]),
);
const calls = { ours: (index) => parser.parse(request.texts[index]) };
for (const [name, path] of Object.entries(request.models)) {
  const session = await ort.InferenceSession.create(readFileSync(path), { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
  const input = session.inputNames[0];
  calls[name] = (index) => session.run({ [input]: inputs[index] });
}
const times = Object.fromEntries(Object.keys(calls).map((name) => [name, request.texts.map(() => [])]));
for (let round = -2; round < request.rounds; round += 1) {
  for (let index = 0; index < request.texts.length; index += 1) {
    for (const [name, call] of Object.entries(calls)) {
      const start = process.hrtime.bigint();
      const answer = call(index);
      if (answer instanceof Promise) await answer;
      if (round >= 0) times[name][index].push(Number(process.hrtime.bigint() - start) / 1000);
    }
  }
}
const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];
console.log(JSON.stringify(Object.fromEntries(Object.entries(times).map(([name, rows]) => [name, rows.map(median)]))));
