// openai.mjs BASE_URL: the official openai client against an endpoint; what it made of the answers is one JSON document on stdout.
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.env.OPENAI_API_KEY ?? 'none', maxRetries: 0, timeout: 10_000 });
const said = {};
const messages = (content) => [{ role: 'system', content: 'You are terse.' }, { role: 'user', content }];
const failure = async (what) => {
  try {
    await what();
    return { failed: false };
  } catch (e) {
    return { failed: true, kind: e.constructor.name, status: e.status ?? null, code: e.code ?? null, message: e.message };
  }
};

said.models = [];
for await (const model of client.models.list()) said.models.push(model.id);

const whole = await client.chat.completions.create({ model: 'sim-small', messages: messages('Respond with exactly: pong'), max_tokens: 10 });
said.whole = { object: whole.object, content: whole.choices[0].message.content, reason: whole.choices[0].finish_reason, usage: whole.usage };

said.pieces = [];
const stream = await client.chat.completions.create({ model: 'sim-small', messages: messages('Respond with exactly: a b c'), stream: true });
for await (const chunk of stream) said.pieces.push(chunk.choices[0].delta.content ?? '');

const parts = [{ type: 'text', text: 'Respond with ' }, { type: 'text', text: 'exactly: ok' }];
said.parts = (await client.chat.completions.create({ model: 'sim-small', messages: [{ role: 'user', content: parts }] })).choices[0].message.content;

said.down = await failure(() => client.chat.completions.create({ model: 'x-down', messages: messages('hello') }));
said.busy = await failure(() => client.chat.completions.create({ model: 'x-busy', messages: messages('hello') }));
said.empty = await failure(() => client.chat.completions.create({ model: 'x', messages: [] }));
said.unknown = await failure(() => client.chat.completions.create({ model: 'gpt-77', messages: messages('hello') }));
console.log(JSON.stringify(said));
