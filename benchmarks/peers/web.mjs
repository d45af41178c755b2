// node web.mjs REQUEST.json: prints what `timeParsers` gives in Node.
//
// The request has, besides what `timeParsers` asks for, `parser` (folder of the npm package), `module` (its .wasm) and `runtime`
// (folder of onnxruntime-web).
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { timeParsers } from './web_timing.mjs';

const request = JSON.parse(readFileSync(process.argv[2], 'utf-8'));
const { load } = await import(pathToFileURL(resolve(request.parser, 'index.js')));
const ort = await import(pathToFileURL(resolve(request.runtime, 'dist', 'ort.wasm.min.mjs')));
const parser = await load(pathToFileURL(resolve(request.parser, request.module)));
const now = () => Number(process.hrtime.bigint()) / 1000;
console.log(JSON.stringify(await timeParsers(request, parser, ort, async (path) => readFileSync(path), now)));
