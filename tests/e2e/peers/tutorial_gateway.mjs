// tutorial_gateway.mjs - a gateway that serves what five published tutorials call, and nothing else. It shares no code with moongate's
// simulator and follows the tutorials where the two differ: no listing of indexes, no configuration to read, no Idempotency-Key.
//
//   node tutorial_gateway.mjs          prints "ready {"url": ...}"; loopback, a free port
//   POST /__control {...}              reset, set (switches), rule (what the next matching requests meet), index, expire
//   GET  /__seen[?clear]               {requests, hooks, revisions}: all that came, with headers and bodies; each index's revision
import { createServer } from 'node:http';
import { randomBytes, randomUUID } from 'node:crypto';

const CONFIGURED = 'a1b2c3d4-e5f6-7890-abcd-ef1234567890';
let world;

function reset() {
  world = {
    requests: [], hooks: [], rules: [], tokens: new Map(),
    indexes: new Map(), versions: new Map(), rollback: new Set(), jobs: new Map(), configurations: new Map(),
    models: new Map([
      ['model-gen-4', { id: 'model-gen-4', name: 'model-gen-4' }],
      ['model-fallback-3', { id: 'model-fallback-3', name: 'model-fallback-3' }],
      [CONFIGURED, { id: CONFIGURED, name: 'configured', max_context_window: 4096, restricted_safety_filters: ['political'] }],
    ]),
    set: {
      scopes: null, // null: all; or what the token has
      tokenSeconds: 3600,
      polls: 1, // how many times a job is not done yet
      jobEnd: null, // what a job ends with in place of COMPLETED
      eager: false, // a model stands in the listing as soon as its registration is accepted
      answer: 'output', // the form of a prompt's answer
      said: 'VALIDATION_SUCCESS', // what the model behind /v1 answers
      health: { status: 'HEALTHY' }, healthStatus: 200,
      remaining: true, // X-RateLimit-Remaining on every answer
      readable: false, // GET of one model, one version, one configuration
      mismatch: 409, // how a stale If-Match is refused
      noRead: 405, // how a configuration's GET is refused
      plainLists: false, // a bare array instead of an envelope
    },
  };
}
reset();

const entry = (id, set) => ({ revision: 1 + (world.indexes.get(id)?.revision ?? 0), configuration: set, updatedAt: new Date().toISOString() });
const list = (values) => (world.set.plainLists ? [...values] : { entities: [...values], pageSize: 25, pageNumber: 1, total: values.length });
const refuse = (status, message, more) => ({ status, body: { status, message, ...more } });
const quoted = (n) => `"${n}"`;

const answers = {
  output: (id, text) => ({ modelId: id, output: text, usage: { inputTokens: 5, outputTokens: 7 } }),
  choices: (id, text) => ({ model: id, choices: [{ index: 0, message: { role: 'assistant', content: text } }] }),
  text: (id, text) => ({ text }),
  completion: (id, text) => ({ modelId: id, completion: text }),
  response: (id, text) => ({ response: text }),
  content: (id, text) => ({ content: text }),
  other: (id, text) => ({ verdict: { spoken: text } }),
  empty: () => ({}),
};

// [method, path, scopes, handler({at, body, headers}) -> {status, body, headers}]; null for a path that a tutorial does not serve
const routes = [
  ['GET', /^\/api\/v2\/ai\/vectorstores\/([^/]+)\/indexes\/([^/]+)$/, ['ai:vectorstore:read'], ({ at }) => {
    const found = world.indexes.get(at.join('/'));
    if (!found) return refuse(404, 'index not found');
    return { status: 200, body: found.configuration, headers: { ETag: quoted(found.revision) } };
  }],
  ['PUT', /^\/api\/v2\/ai\/vectorstores\/([^/]+)\/indexes\/([^/]+)$/, ['ai:vectorstore:write'], ({ at, body, headers }) => {
    const key = at.join('/'), found = world.indexes.get(key);
    const match = headers['if-match'];
    if (match && match !== '*' && match !== quoted(found?.revision)) return refuse(world.set.mismatch, 'etag mismatch');
    if (headers['if-none-match'] === '*' && found) return refuse(world.set.mismatch, 'the index exists');
    const wrong = [];
    if (!(body?.dimensions >= 1 && body.dimensions <= 4096)) wrong.push({ field: 'dimensions', message: 'exceeds the maximum' });
    if (!['cosine', 'euclidean', 'dot_product'].includes(body?.similarityMetric)) wrong.push({ field: 'similarityMetric', message: 'unknown' });
    if (wrong.length) return refuse(422, 'schema validation failed', { errors: wrong });
    const now = entry(key, body);
    world.indexes.set(key, now);
    return { status: found ? 200 : 201, body: { id: at[1], status: 'active', updatedAt: now.updatedAt, syncEventId: randomUUID(), retrievalPrecision: 0.9731 } };
  }],
  ['POST', /^\/api\/v2\/ai\/gateway\/prompts$/, ['ai:prompt:execute'], ({ body, headers }) => {
    if (!body?.modelId) return refuse(400, 'modelId is missing');
    const text = `an answer to ${[...body.prompt].length} characters`;
    return { status: 200, body: answers[world.set.answer](body.modelId, text), headers: { 'X-Genesys-Request-Id': headers['x-genesys-request-id'] ?? randomUUID() } };
  }],
  ['GET', /^\/api\/v2\/ai\/models$/, ['ai:models:read'], () => ({ status: 200, body: list([...world.models.values()]) })],
  ['GET', /^\/api\/v2\/ai\/models\/([^/]+)$/, ['ai:models:read'], ({ at }) => {
    if (!world.set.readable) return null;
    const found = world.models.get(at[0]);
    return found ? { status: 200, body: found } : refuse(404, 'no such model');
  }],
  ['GET', /^\/api\/v2\/ai\/models\/([^/]+)\/configuration$/, ['ai:models:read'], ({ at }) => {
    if (!world.set.readable) return refuse(world.set.noRead, world.set.noRead === 405 ? 'method not allowed' : 'not found');
    const found = world.configurations.get(at[0]);
    return found ? { status: 200, body: found.configuration, headers: { ETag: quoted(found.revision) } } : refuse(404, 'no configuration');
  }],
  ['PUT', /^\/api\/v2\/ai\/models\/([^/]+)\/configuration$/, ['ai:llm:manage'], ({ at, body }) => {
    const model = world.models.get(at[0]), wrong = [];
    if (body.max_tokens > (model?.max_context_window ?? Infinity)) wrong.push(`max_tokens exceeds model capability limit of ${model.max_context_window}`);
    for (const f of body.safety_filters ?? []) {
      if (f.action === 'block' && model?.restricted_safety_filters?.includes(f.filter_type)) wrong.push(`filter ${f.filter_type} cannot block on this model`);
    }
    if (wrong.length) return { status: 400, body: { errors: wrong } };
    world.configurations.set(at[0], { revision: 1 + (world.configurations.get(at[0])?.revision ?? 0), configuration: body });
    return { status: 200, body };
  }],
  ['GET', /^\/api\/v2\/ai\/prompt-templates\/([^/]+)\/versions$/, ['ai:prompt-template:read'], ({ at }) => (
    { status: 200, body: list([...(world.versions.get(at[0])?.values() ?? [])]) }
  )],
  ['GET', /^\/api\/v2\/ai\/prompt-templates\/([^/]+)\/versions\/([^/]+)$/, ['ai:prompt-template:read'], ({ at }) => {
    if (!world.set.readable) return null;
    const found = world.versions.get(at[0])?.get(at[1]);
    return found ? { status: 200, body: found } : refuse(404, 'no such version');
  }],
  ['POST', /^\/api\/v2\/ai\/prompt-templates\/([^/]+)\/versions$/, ['ai:prompt-template:write', 'ai:llm-gateway:manage'], ({ at, body }) => {
    const versions = world.versions.get(at[0]) ?? new Map();
    if (world.rollback.has(at[0]) && !body.rollbackDirective) return refuse(409, 'active rollback flag');
    if (versions.has(body.version) && !body.rollbackDirective) return refuse(409, 'version already exists');
    for (const [, name] of body.content.matchAll(/\{\{([A-Za-z_]\w*)\}\}/g)) {
      if (!(name in (body.variables ?? {}))) return refuse(400, `placeholder ${name} is not in the variables`);
    }
    if (body.rollbackDirective) world.rollback.add(at[0]);
    world.versions.set(at[0], versions.set(body.version, body));
    return { status: 201, body };
  }],
  ['POST', /^\/api\/v2\/ai\/llm-gateway\/models$/, ['ai:llm-gateway:write'], ({ body }) => {
    if (!['openai', 'anthropic', 'azure', 'cohere', 'custom'].includes(body.modelArchitecture)) {
      return refuse(400, 'schema validation failed', { errors: [{ field: 'modelArchitecture', message: 'not in the enumeration' }] });
    }
    const job = { id: randomUUID(), seen: 0, model: { id: randomUUID(), name: body.name } };
    world.jobs.set(job.id, job);
    if (world.set.eager) world.models.set(job.model.id, job.model);
    return { status: 202, body: { jobId: job.id } };
  }],
  ['GET', /^\/api\/v2\/ai\/jobs\/([^/]+)$/, ['ai:jobs:read'], ({ at }) => {
    const job = world.jobs.get(at[0]);
    if (!job) return refuse(404, 'no such job');
    if (++job.seen <= world.set.polls) return { status: 200, body: { id: job.id, status: job.seen === 1 ? 'QUEUED' : 'RUNNING' } };
    if (world.set.jobEnd) return { status: 200, body: { id: job.id, ...world.set.jobEnd } };
    world.models.set(job.model.id, job.model);
    return { status: 200, body: { id: job.id, status: 'COMPLETED', result: { id: job.model.id } } };
  }],
  ['POST', /^\/api\/v2\/ai\/llm-gateway\/models\/([^/]+)\/health-checks$/, ['ai:llm-gateway:write'], () => (
    { status: world.set.healthStatus, body: world.set.health }
  )],
];

function mint({ body, headers }) {
  const form = new URLSearchParams(body);
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '');
  const [id, secret] = basic ? Buffer.from(basic[1], 'base64').toString().split(':') : [form.get('client_id'), form.get('client_secret')];
  if (form.get('grant_type') !== 'client_credentials') return { status: 400, body: { error: 'unsupported_grant_type' } };
  if (id !== 'tutorial-client' || secret !== 'tutorial-secret') return { status: 401, body: { error: 'invalid_client' } };
  const token = randomBytes(24).toString('base64url');
  world.tokens.set(token, { scopes: world.set.scopes, until: Date.now() + 1000 * world.set.tokenSeconds });
  return { status: 200, body: { access_token: token, token_type: 'bearer', expires_in: world.set.tokenSeconds } };
}

function serve({ method, path, headers, text }) {
  if (path === '/oauth/token') return mint({ body: text, headers });
  if (path.startsWith('/hooks/')) { world.hooks.push({ path, headers, body: text }); return { status: 204 }; }
  if (path.endsWith('/v1/chat/completions')) return { status: 200, body: answers.choices('behind', world.set.said) };
  const token = world.tokens.get((headers.authorization ?? '').replace(/^Bearer /, ''));
  if (!token || token.until < Date.now()) return refuse(401, 'invalid or expired access token');
  for (const [verb, pattern, scopes, handler] of routes) {
    const at = verb === method && pattern.exec(path)?.slice(1).map(decodeURIComponent);
    if (!at) continue;
    const missing = token.scopes ? scopes.filter((s) => !token.scopes.includes(s)) : [];
    if (missing.length) return refuse(403, `missing scope ${missing.join(' ')}`, { code: 'missing.scope' });
    return handler({ at, headers, body: text ? JSON.parse(text) : undefined }) ?? refuse(404, 'not found');
  }
  return refuse(routes.some(([, pattern]) => pattern.test(path)) ? 405 : 404, 'not found');
}

function control(order) {
  if (order.reset) reset();
  Object.assign(world.set, order.set);
  if (order.rule) world.rules.push({ times: 1, method: '', path: '', ...order.rule });
  if (order.index) world.indexes.set(order.index.key, entry(order.index.key, order.index.configuration));
  if (order.expire) world.tokens.clear();
}

// A rule: {method, path (patterns), times, skip, forMs, status, body, headers, delay, cut: before|after|mid, interfere: {key, configuration}}
function rule(method, path) {
  return world.rules.find((r) => {
    if (r.times <= 0 || !new RegExp(r.method).test(method) || !new RegExp(r.path).test(path)) return false;
    if (r.skip > 0) { r.skip -= 1; return false; }
    if (r.forMs && Date.now() - (r.since ??= Date.now()) > r.forMs) return false;
    r.times -= 1;
    return true;
  });
}

function reply(response, { status, body, headers }, cut) {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const head = { 'Content-Type': 'application/json', ...(world.set.remaining ? { 'X-RateLimit-Remaining': '299' } : {}), ...headers };
  if (cut === 'mid') {
    response.writeHead(status, { ...head, 'Content-Length': text.length + 1000 });
    response.write(text, () => response.destroy());
  } else if (cut === 'after') response.destroy();
  else { response.writeHead(status, head); response.end(text); }
}

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const text = Buffer.concat(parts).toString(), { method, headers } = request, [path, query] = request.url.split('?');
    if (path === '/__control') { control(JSON.parse(text)); return reply(response, { status: 200, body: {} }); }
    if (path === '/__seen') {
      const { requests, hooks } = world, revisions = Object.fromEntries([...world.indexes].map(([k, v]) => [k, v.revision]));
      if (query === 'clear') { world.requests = []; world.hooks = []; }
      return reply(response, { status: 200, body: { requests, hooks, revisions } });
    }
    const seen = { method, path, query, headers, body: text, at: Date.now() };
    world.requests.push(seen);
    const met = rule(method, path);
    if (met?.cut === 'before') { seen.status = 'cut before'; return response.destroy(); }
    if (met?.interfere) world.indexes.set(met.interfere.key, entry(met.interfere.key, met.interfere.configuration));
    const finish = () => {
      const out = met?.status ? { status: met.status, body: met.body ?? { status: met.status }, headers: met.headers } : serve({ method, path, headers, text });
      seen.status = met?.cut ? 'cut' : out.status;
      return reply(response, out, met?.cut);
    };
    return setTimeout(finish, met?.delay ?? 0);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`ready {"url": "http://127.0.0.1:${server.address().port}"}`));
