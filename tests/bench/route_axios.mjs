// route_axios.mjs - the job of route-prompts in Node.js with axios, for comparison: route_axios.mjs PORT IN_FLIGHT < prompts
// Reads JSON lines, sends each, checks and parses the answer, writes a JSON line; no audit, no metrics.
import axios from 'axios';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createInterface } from 'node:readline';

const [port, inFlight] = process.argv.slice(2).map(Number);
const client = axios.create({
  baseURL: `http://127.0.0.1:${port}`,
  httpAgent: new http.Agent({ keepAlive: true, maxSockets: inFlight }),
  headers: { Authorization: 'Bearer 0123456789abcdef0123456789abcdef0123456789abcdef', Accept: 'application/json' },
  timeout: 60000,
  proxy: false,
});
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })[Symbol.asyncIterator]();
let failed = 0;

async function worker() {
  for (let next = await lines.next(); !next.done; next = await lines.next()) {
    const { id, prompt } = JSON.parse(next.value);
    if (typeof prompt !== 'string' || prompt.length > 8000) throw new Error('bad prompt');
    const requestId = randomUUID();
    const began = performance.now();
    try {
      const { data } = await client.post('/api/v2/ai/gateway/prompts', {
        modelId: 'm-1',
        prompt,
        parameters: { temperature: 0.7, maxTokens: 2048, topP: 0.95 },
        fallbackModels: [],
        safetyFilters: [],
        metadata: { routingVersion: '1', dispatchSource: 'bench' },
      }, { headers: { 'X-Genesys-Request-Id': requestId, 'X-Correlation-Id': `route-${requestId}` } });
      const result = {
        id, status: 'ok', model: data.modelId, output: data.output, finish_reason: data.finishReason, usage: data.usage,
        safety: data.safety, latency_ms: Math.round((performance.now() - began) * 10) / 10, request_id: requestId,
      };
      process.stdout.write(`${JSON.stringify(result)}\n`);
    } catch {
      failed++;
    }
  }
}
await Promise.all(Array.from({ length: inFlight }, worker));
if (failed > 0) {
  console.error(`${failed} failed`);
  process.exit(1);
}
