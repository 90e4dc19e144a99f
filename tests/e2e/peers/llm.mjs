// llm.mjs KEY: an OpenAI mock of other authors (aimock). By the model's name it says what it is asked to, something else, nothing, an error,
// or late, and to nobody who does not show the key KEY. Prints "ready {url}", then "asked {json}" for each request.
import { LLMock } from '@copilotkit/aimock';

const asked = /Respond with exactly: (.*)/;
const said = (request) => asked.exec(request.messages.at(-1).content)?.[1] ?? '';
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const mock = new LLMock({ port: 0, host: '127.0.0.1', logLevel: 'silent', auth: { apiKeys: [process.argv[2]] } });
mock
  .on({ model: 'obedient', userMessage: asked }, (request) => ({ content: said(request) }))
  .on({ model: 'chatty', userMessage: asked }, (request) => ({ content: `Certainly! ${said(request)}. Anything else?` }))
  .on({ model: 'stubborn' }, { content: 'No.' })
  .on({ model: 'mute' }, { content: '' })
  .on({ model: 'limited' }, { error: { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' }, status: 429 })
  .on({ model: 'refusing' }, { error: { message: 'Incorrect API key provided', type: 'invalid_request_error' }, status: 401 })
  .on({ model: 'late', userMessage: asked }, async (request) => {
    await sleep(400);
    return { content: said(request) };
  });
await mock.start();
console.log(`ready ${JSON.stringify({ url: mock.url })}`);

let told = 0;
setInterval(() => {
  for (const { headers, body, path } of mock.getRequests().slice(told)) {
    told++;
    console.log(`asked ${JSON.stringify({ path, authorized: 'authorization' in headers, body })}`);
  }
}, 20);
