// Writes greedy_ref.json: what llama.cpp makes of the prompts, token by token. An independent check of the engine and of the files.
//   npm install --no-save node-llama-cpp@3.22.1
//   node verify.mjs ../../models/demo-f16.gguf ../../models/greedy_ref.json [tokens]
import fs from "node:fs";
import path from "node:path";
import {getLlama} from "node-llama-cpp";

const [model, output, tokens = "64"] = process.argv.slice(2);
const prompts = [
  "The capital of France is",
  "Once upon a time",
  "7 + 5 =",
  "Question: What colour is the sky?\nAnswer:",
  "<|im_start|>user\nWhat is the capital of Japan?<|im_end|>\n<|im_start|>assistant\n",
  "<|im_start|>user\nWhat is continuous batching?<|im_end|>\n<|im_start|>assistant\n",
  "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n",
  "<|im_start|>user\nCount from 5 to 12.<|im_end|>\n<|im_start|>assistant\n",
];

const llama = await getLlama({gpu: false, build: "never", maxThreads: 1, logLevel: "warn"});
const loaded = await llama.loadModel({modelPath: model});
const results = [];
for (const prompt of prompts) {
  const promptIds = loaded.tokenize(prompt, true);
  const context = await loaded.createContext({contextSize: 512, threads: 1, flashAttention: false, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"});
  const greedyIds = [];
  for await (const token of context.getSequence().evaluate(promptIds, {temperature: 0, yieldEogToken: true})) {
    greedyIds.push(token);
    if (greedyIds.length >= Number(tokens)) break;
  }
  await context.dispose();
  results.push({prompt, prompt_ids: promptIds, greedy_ids: greedyIds, text: loaded.detokenize(greedyIds, true)});
}
const computedBy = "llama.cpp via node-llama-cpp 3.22.1, CPU, flash attention off, F32 KV cache, temperature 0; not stopped at end tokens";
fs.writeFileSync(output, JSON.stringify({model: path.basename(model), computed_by: computedBy, results}, null, 1) + "\n");
process.exit(0);
