// Times a parser of `pqrnn native -t webassembly` beside ONNX Runtime Web, call by call in turn, in Node or in a browser.

/**
 * Return {name: [microseconds of each text, the fastest of its rounds]}: what else runs on the machine only adds to a call.
 * @param request `models` ({name: path of an ONNX file}), `texts`, `features` (path of a file of float32, [texts, 1, words, size]),
 *   `words`, `size`, `rounds`.
 * @param parser The parser, loaded.
 * @param ort ONNX Runtime Web, which is set to one thread.
 * @param readBytes Reads a path of the request: to a promise of a Uint8Array.
 * @param now The time in microseconds.
 */
export async function timeParsers(request, parser, ort, readBytes, now) {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const bytes = await readBytes(request.features);
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const length = request.words * request.size;
  const inputs = request.texts.map(
    (_, index) => new ort.Tensor('float32', all.slice(index * length, (index + 1) * length), [1, request.words, request.size]),
  );
  const calls = { ours: (index) => parser.parse(request.texts[index]) };
  for (const [name, path] of Object.entries(request.models)) {
    const session = await ort.InferenceSession.create(await readBytes(path), { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
    const input = session.inputNames[0];
    calls[name] = (index) => session.run({ [input]: inputs[index] });
  }
  const times = Object.fromEntries(Object.keys(calls).map((name) => [name, request.texts.map(() => [])]));
  for (let round = -2; round < request.rounds; round += 1) {
    for (let index = 0; index < request.texts.length; index += 1) {
      for (const [name, call] of Object.entries(calls)) {
        const start = now();
        const answer = call(index);
        if (answer instanceof Promise) await answer;
        if (round >= 0) times[name][index].push(now() - start);
      }
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, rows]) => [name, rows.map((values) => Math.min(...values))]));
}
