// Random answers of a gateway, for each of the five jobs. A proxy stands before the simulator and spoils what it
// answers: statuses, headers, types, sizes, encodings, numbers, nesting, lengths, the connection. Whatever came:
//   - the program ends by itself, by no signal, with a status that is documented, and not 70 (a bug);
//   - each intent of its audit log has an outcome, and the log is whole;
//   - `runs resume`, against a gateway that answers properly, comes to a good end; or it fails for a reason that the odd
//     answers explain and it names (an id that was nonsense, a version that was created behind a refusal), or asks a
//     person to decide. After it each intent has an outcome, too, or the resume said which one has not.
//
//   node tests/property/answers.mjs MOONGATE [--seed N] [--count ANSWERS-PER-JOB] [--jobs a,b] [--only RUN]
// The draws of a run come from the seed, the job and the run's number alone: --only N repeats one.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

const moongate = path.resolve(process.argv[2]);
const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const seed = Number(option('seed', 1));
const count = Number(option('count', 20000));
const only = option('only') && Number(option('only'));
const LIMIT = 60000; // ms a run may take
const ITEMS = 12; // per run

// ---- draws ----

function draws(a) { // mulberry32
  const next = () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    below: (n) => Math.floor(next() * n),
    chance: (p) => next() < p,
    pick: (list) => list[Math.floor(next() * list.length)],
  };
}
const hashed = (text) => [...text].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619), 2166136261);

// ---- values ----

const raw = (text) => ({ raw: Buffer.from(text, 'latin1') }); // bytes that stand in JSON as they are
const NUMBERS = ['0', '-0', '1', '-1', '9007199254740993', '18446744073709551616', '-9223372036854775809', '1e400', '1E-400',
  '1.5', '123456789012345678901234567890', '0.1e1', '1e308', '00', '1.', '.5', '+1', 'NaN', 'Infinity', '0x10'].map(raw);
const STRINGS = ['', ' ', 'x', 'a'.repeat(70000), '\u0000', '\u001b[31m', '\r\n', '../../etc/passwd', '\u2028', '𝕊', '"', '\\', '%s%n',
  'null', '{{x}}', '<b>', '\ufeffx', 'é'.repeat(400)].map((s) => raw(JSON.stringify(s).replace(/[\u0080-\uffff]/g,
  (c) => Buffer.from(c, 'utf16le').length && `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)));
const BYTES = ['"\xff\xfe"', '"\xc3"', '"\\ud800"', '"\\udc00x"', '"\\u0000"', '"\xed\xa0\x80"', '"\xc0\xaf"', '"\\x"', '"a\nb"'].map(raw);

const deep = (d, n) => raw((d.chance(0.5) ? '[' : '{"a":').repeat(n) + '1' + (d.chance(0.5) ? ']' : '}').repeat(n));

function value(d, level = 0) {
  switch (d.below(level > 3 ? 6 : 9)) {
    case 0: return null;
    case 1: return d.chance(0.5);
    case 2: return d.pick(NUMBERS);
    case 3: return d.pick(STRINGS);
    case 4: return d.pick(BYTES);
    case 5: return d.below(100000) / 7;
    case 6: return Array.from({ length: d.below(4) }, () => value(d, level + 1));
    case 7: return Object.fromEntries(Array.from({ length: d.below(5) }, () => [d.pick(NAMES), value(d, level + 1)]));
    default: return deep(d, d.pick([2, 30, 120, 2000]));
  }
}
const NAMES = ['id', 'name', 'status', 'message', 'code', 'errors', 'details', 'entities', 'version', 'configuration', 'output',
  'choices', 'jobId', 'nextUri', 'capabilities', 'usage', '', 'é', 'a'.repeat(300), '__proto__', 'access_token', 'expires_in', 'etag'];

// JSON text as bytes; raw values as they are. What is nested too deep for this program's stack becomes a deep array.
function encode(v) {
  try {
    return encodeNested(v);
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return Buffer.from('['.repeat(3000) + ']'.repeat(3000));
  }
}
function encodeNested(v) {
  if (v && v.raw) return v.raw;
  if (Array.isArray(v)) return Buffer.concat([Buffer.from('['), ...v.flatMap((x, i) => [Buffer.from(i ? ',' : ''), encodeNested(x)]), Buffer.from(']')]);
  if (v && typeof v === 'object') {
    return Buffer.concat([Buffer.from('{'), ...Object.entries(v).flatMap(([k, x], i) =>
      [Buffer.from(`${i ? ',' : ''}${JSON.stringify(k)}:`), encodeNested(x)]), Buffer.from('}')]);
  }
  return Buffer.from(JSON.stringify(v));
}

// What the program read from one answer and wrote back may be nested too deeply by now: then the answer stays.
function encoded(v, otherwise) {
  try {
    return encode(v);
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return otherwise;
  }
}

// Replaces, removes, adds or doubles one member somewhere in v.
function mutated(d, v) {
  if (v === null || typeof v !== 'object' || d.chance(0.15)) return value(d);
  const keys = Object.keys(v);
  if (keys.length === 0) return value(d);
  const copy = Array.isArray(v) ? [...v] : { ...v };
  const key = d.pick(keys);
  switch (d.below(6)) {
    case 0: if (Array.isArray(copy)) copy.splice(Number(key), 1); else delete copy[key]; return copy;
    case 1: copy[Array.isArray(copy) ? copy.length : d.pick(NAMES)] = value(d); return copy;
    case 2: if (Array.isArray(copy)) return [...copy, ...copy]; copy[key] = [copy[key]]; return copy;
    default: copy[key] = d.chance(0.5) ? mutated(d, copy[key]) : value(d); return copy;
  }
}

// ---- answers ----

const STATUSES = [200, 200, 200, 201, 202, 204, 206, 226, 299, 301, 302, 304, 308, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415,
  421, 422, 423, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 507, 511, 599, 600, 999, 100, 99, 0];
const HEADERS = [['etag', 'W/"1"'], ['etag', '"'], ['etag', ''], ['etag', 'x'.repeat(9000)], ['retry-after', '0'], ['retry-after', '-1'],
  ['retry-after', '1e9'], ['retry-after', 'Wed, 21 Oct 2099 07:28:00 GMT'], ['retry-after', 'soon'], ['content-type', 'text/html'],
  ['content-type', 'application/problem+json'], ['content-type', ''], ['content-type', '\xff'], ['content-encoding', 'gzip'],
  ['content-encoding', 'br'], ['content-encoding', 'identity'], ['location', '//evil'], ['location', '\x01'], ['x-ratelimit-remaining', '-1'],
  ['x-ratelimit-reset', '99999999999999999999'], ['ratelimit', 'limit=1, remaining=0, reset=x'], ['inin-correlation-id', '\xfe'],
  ['set-cookie', 'a=b'], ['date', 'yesterday'], ['link', '<x>; rel=next'], ['inin-ratelimit-count', 'NaN'], ['x', 'y'.repeat(30000)]];

// What the simulator said, or nothing of it, made odd -> bytes to send, or how to end the connection.
function spoil(d, answer) {
  let { status, headers, body } = answer;
  let changes = 0;
  const change = (p) => d.chance(p) && ++changes;
  let value_ = null;
  try { value_ = JSON.parse(body.toString()); } catch { value_ = null; }
  if (change(0.25)) body = encoded(mutated(d, value_), body);
  if (change(0.12)) status = d.pick(STATUSES);
  if (change(0.15)) headers = [...headers.filter(([n]) => d.chance(0.8) || n === 'x'), d.pick(HEADERS), ...(d.chance(0.3) ? [d.pick(HEADERS)] : [])];
  if (change(0.04)) body = body.subarray(0, d.below(body.length + 1));
  if (change(0.03)) body = Buffer.concat([Buffer.from(d.pick(['\xef\xbb\xbf', '\xff', '\0', ' \n', '<html><title>x</title>', '<', '[', '{}{}']), 'latin1'), body]);
  if (change(0.02)) body = Buffer.concat([body, Buffer.from(d.pick(['\0', ' ', 'x', ',', '}', '\xff']), 'latin1')]);
  if (change(0.02)) { body = Buffer.from(body); if (body.length) body[d.below(body.length)] = d.below(256); }
  if (change(0.01)) body = Buffer.alloc(d.below(3000000), d.pick(['a', ' ', '{"a":', '[']));
  if (change(0.01)) body = Buffer.alloc(0);

  let head = `HTTP/1.1 ${String(status).padStart(3, '0')}${d.chance(0.95) ? ' OK' : ''}\r\n`;
  for (const [n, v] of headers) head += `${n}: ${v}\r\n`;
  let close = d.chance(0.1);
  let length = body.length;
  const none = status === 204 || status === 304 || (status >= 100 && status < 200);
  let payload = none ? Buffer.alloc(0) : body;
  const framing = d.below(40);
  if (framing === 0) { length += d.pick([-1, 1, 1000]); close = true; }
  if (framing === 1) { // chunks, perhaps bad ones
    const size = d.chance(0.7) ? payload.length.toString(16) : d.pick(['-1', 'zz', 'fffffffffffffffff', '']);
    if (payload.length) payload = Buffer.concat([Buffer.from(`${size}\r\n`), payload, Buffer.from(d.chance(0.8) ? '\r\n0\r\n\r\n' : '\r\n')]);
    else payload = Buffer.from('0\r\n\r\n');
    head += 'transfer-encoding: chunked\r\n';
    close = true;
  } else if (framing === 2) {
    close = true; // no length: to the end of the connection
  } else if (!none) {
    head += `content-length: ${Math.max(0, length)}\r\n`;
    if (d.chance(0.005)) head += 'content-length: 7\r\n';
  }
  if (close) head += 'connection: close\r\n';
  let bytes = Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), payload]);
  if (d.chance(0.02)) bytes = Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n'), bytes]);
  if (d.chance(0.01)) { bytes = bytes.subarray(0, d.below(bytes.length)); close = true; }
  if (d.chance(0.003)) { bytes = Buffer.from(d.pick(['', 'SSH-2.0-x\r\n', '\x16\x03\x01', 'HTTP/9.9 200\r\n\r\n', '\r\n\r\n\r\n']), 'latin1'); close = true; }
  return { bytes, close };
}

// ---- the proxy ----

const agent = new http.Agent({ keepAlive: true });
const gateway = { salt: 0, seen: {}, odd: true, answers: 0, port: 0, simulator: 0 };

function asked(request) {
  return new Promise((resolve) => {
    const r = http.request({ agent, port: gateway.simulator, host: '127.0.0.1', method: request.method, path: request.path, headers: request.headers }, (res) => {
      const parts = [];
      res.on('data', (p) => parts.push(p));
      res.on('end', () => {
        const headers = [];
        for (let i = 0; i < res.rawHeaders.length; i += 2) {
          if (!/^(content-length|connection|transfer-encoding|keep-alive|date)$/i.test(res.rawHeaders[i])) headers.push([res.rawHeaders[i], res.rawHeaders[i + 1]]);
        }
        resolve({ status: res.statusCode, headers, body: Buffer.concat(parts) });
      });
    });
    r.on('error', () => resolve({ status: 502, headers: [], body: Buffer.from('{}') }));
    r.end(request.body);
  });
}

// Requests of one connection, one after the other; our client sends a length with each body.
const server = net.createServer((socket) => {
  let buffer = Buffer.alloc(0), busy = false;
  socket.on('error', () => {});
  const turn = async () => {
    const end = buffer.indexOf('\r\n\r\n');
    if (busy || end < 0) return;
    const lines = buffer.subarray(0, end).toString('latin1').split('\r\n');
    const [method, target] = lines[0].split(' ');
    const headers = Object.fromEntries(lines.slice(1).map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
    const length = Number(headers['content-length'] ?? 0);
    if (buffer.length < end + 4 + length) return;
    const body = buffer.subarray(end + 4, end + 4 + length);
    buffer = buffer.subarray(end + 4 + length);
    busy = true;
    headers.host = `127.0.0.1:${gateway.simulator}`;
    const { odd } = gateway;
    const what = `${method} ${target}`; // the nth answer to it, whatever other requests came between
    const nth = (gateway.seen[what] = (gateway.seen[what] ?? 0) + 1);
    const d = draws(hashed(`${what} ${nth}`) ^ gateway.salt);
    const whole = odd && d.chance(0.05); // the simulator is not even asked
    const answer = whole ? { status: 200, headers: [['content-type', 'application/json']], body: encode(value(d)) } : await asked({ method, path: target, headers, body });
    const calm = !odd || (target === '/oauth/token' && d.chance(0.97)) || d.chance(0.35);
    gateway.answers++;
    const out = calm
      ? { bytes: Buffer.concat([Buffer.from(`HTTP/1.1 ${answer.status} X\r\n${answer.headers.map(([n, v]) => `${n}: ${v}\r\n`).join('')}content-length: ${answer.body.length}\r\n\r\n`, 'latin1'), method === 'HEAD' ? Buffer.alloc(0) : answer.body]) }
      : spoil(d, answer);
    if (out.close) socket.end(out.bytes); else socket.write(out.bytes);
    busy = false;
    if (!out.close) turn();
  };
  socket.on('data', (part) => { buffer = Buffer.concat([buffer, part]); turn(); });
});

// ---- jobs ----

const id = (run, i) => `p${seed}-${run}-${i}`;
const many = (fn) => Array.from({ length: ITEMS }, (_, i) => fn(i));
const write = (dir, name, v) => fs.writeFileSync(path.join(dir, name), typeof v === 'string' ? v : JSON.stringify(v));
const JOBS = {
  'deploy-index': (dir, run) => ['deploy-index', '--vector-store', 'store', ...many((i) => {
    write(dir, `${i}.json`, { indexId: id(run, i), dimensions: 64, similarityMetric: 'cosine', embeddingFormat: 'float32' });
    return `${i}.json`;
  })],
  'promote-template': (dir, run) => ['promote-template', ...many((i) => {
    write(dir, `${i}.json`, { ...TEMPLATE, templateId: id(run, i) });
    return `${i}.json`;
  })],
  'register-model': (dir, run) => ['register-model', '--job-deadline', '1s', ...many((i) => {
    write(dir, `${i}.json`, { ...MODEL, name: id(run, i), endpoint_url: `http://127.0.0.1:${gateway.port}` });
    return `${i}.json`;
  })],
  'configure-model': (dir, run) => {
    const set = structuredClone(CONFIGURATIONS);
    for (const c of Object.values(set.configurations)) c.max_tokens = 100 + (run * 7) % 900; // something to write
    write(dir, 'set.json', set);
    return ['configure-model', 'set.json'];
  },
  'route-prompts': (dir, run) => {
    write(dir, 'p.jsonl', many((i) => JSON.stringify({ id: id(run, i), prompt: `say ${i}` })).join('\n') + '\n');
    return ['route-prompts', '--model', 'sim-small', '--fallback', 'sim-large', 'p.jsonl'];
  },
};
const example = (name) => JSON.parse(fs.readFileSync(new URL(`../../scripts/examples/${name}`, import.meta.url)));
const TEMPLATE = example('template.json'), MODEL = example('model.json'), CONFIGURATIONS = example('model_configurations.json');

const environment = (dir) => {
  const env = { PATH: process.env.PATH, HOME: dir, XDG_STATE_HOME: dir, GENESYSCLOUD_REGION: `http://127.0.0.1:${gateway.port}`,
    GENESYSCLOUD_OAUTHCLIENT_ID: 'sim-client', GENESYSCLOUD_OAUTHCLIENT_SECRET: 'sim-secret' };
  if (process.env.ASAN_OPTIONS) env.ASAN_OPTIONS = process.env.ASAN_OPTIONS;
  return env;
};

// -> {status, signal, err}
function ran(dir, args) {
  return new Promise((resolve) => {
    const p = spawn(moongate, args, { cwd: dir, env: environment(dir), stdio: ['ignore', 'pipe', 'pipe'] });
    let err = '', out = '';
    const late = setTimeout(() => p.kill('SIGKILL'), LIMIT);
    p.stderr.on('data', (t) => { err += t.toString('latin1'); });
    p.stdout.on('data', (t) => { out += t.toString('latin1'); });
    p.on('close', (status, signal) => { clearTimeout(late); resolve({ status, signal, err, out, args }); });
  });
}

const FINE = new Set([0, 1, 3, 4, 5, 6, 7, 8, 9]);
const faults = [];
let kept = 0;

function judge(what, r, more) {
  const bug = /bug in moongate|stack traceback|Assertion|Sanitizer|fault of moongate/i.test(r.err);
  if (r.signal || !FINE.has(r.status) || bug || more) {
    faults.push(`${what}: ${more || (r.signal ? `signal ${r.signal}` : `status ${r.status}`)}\n    ${r.err.trim().split('\n').slice(-6).join('\n    ').slice(0, 1500)}`);
    return false;
  }
  return true;
}

// The audit log is whole, and no intent is open, or one may be.
async function audited(dir, what, may) {
  if (!fs.existsSync(path.join(dir, 'st/audit.jsonl'))) return true;
  const v = await ran(dir, ['--state', 'st', '--json', 'audit', 'verify']);
  let report = null;
  try { report = JSON.parse(v.out); } catch { report = null; }
  return judge(`${what}: audit verify`, v, !report || v.status !== 0 ? 'the audit log is not whole'
    : !may && report.open_intents?.length ? `intents without an outcome: ${report.open_intents}` : null);
}

// What a resume may end with, beside 0. The gateway answers properly by then, but what it said before was kept.
const REASONS = {
  'promote-template': [[5, /is there already|already exists/]], // created, and answered with a refusal
  'register-model': [
    [8, /names no id|health check|synthetic test|outcome unknown/],
    [1, /status 404/], [6, /outcome unknown|--redo/], [5, /is registered already|already registered|already exists/],
  ],
};

function explained(job, first, r) {
  if (/does not fit the script|usage:/i.test(r.err)) return false;
  if (r.status === 0) return true;
  if (/already finished at/.test(r.err)) return r.status === first.status;
  if (/no run|not found/i.test(r.err) && !/status 404/.test(r.err)) return first.status !== 0; // it failed before its run was begun
  return (REASONS[job] ?? []).some(([status, words]) => status === r.status && words.test(r.err));
}

async function one(job, run) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'answers-'));
  const what = `${job} --seed ${seed} --only ${run}`;
  const global = ['--state', 'st', '--deadline', '400ms', '--run-id', 'r'];
  gateway.salt = hashed(job) ^ (seed * 7919 + run * 104729);
  gateway.seen = {};
  gateway.odd = true;
  const first = await ran(dir, [...global, ...JOBS[job](dir, run)]);
  let good = judge(what, first) && await audited(dir, what, false);
  if (good) {
    gateway.odd = false;
    const r = await ran(dir, ['--state', 'st', '--deadline', '20s', 'runs', 'resume', 'r']);
    good = judge(`${what}: resume`, r, explained(job, first, r) ? null : `the resume's status ${r.status} is not explained`);
    if (good) good = await audited(dir, `${what}: after the resume`, /--redo|outcome unknown/.test(r.err));
    gateway.resumed[r.status] = (gateway.resumed[r.status] ?? 0) + 1;
    if (r.status !== 0 && process.env.SHOW) console.log(`# ${what}: resume ${r.status}: ${r.err.trim().split('\n').slice(-3).join(' | ').slice(0, 400)}`);
  }
  if (good || kept++ > 5) fs.rmSync(dir, { recursive: true, force: true }); else console.log(`# kept: ${dir}`);
  return good;
}

// ---- all of it ----

const simulator = spawn(moongate, ['-e', 'local s = assert(require("moongate.sim").start { job = 0.01, ingest = 0, rate_limit = 0 }) '
  + 'require("moongate.log").error(s.url) s:join()'], { env: { PATH: process.env.PATH, HOME: os.tmpdir() }, stdio: ['ignore', 'ignore', 'pipe'] });
process.on('exit', () => simulator.kill('SIGKILL'));
gateway.simulator = await new Promise((resolve) => { simulator.stderr.on('data', (t) => { const m = /127\.0\.0\.1:(\d+)/.exec(t); if (m) resolve(Number(m[1])); }); });
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
gateway.port = server.address().port;

let n = 0;
for (const job of option('jobs', Object.keys(JOBS).join(',')).split(',')) {
  gateway.answers = 0;
  gateway.resumed = {};
  let runs = 0, bad = 0;
  const since = Date.now();
  for (let run = only ?? 1; gateway.answers < count; run++) {
    if (!(await one(job, run))) bad++;
    runs++;
    if (runs === 20 && gateway.answers === 0) faults.push(`${job}: it asks nothing`);
    if (only !== undefined || bad > 20 || faults.length > 60) break;
    if (runs === 20 && gateway.answers === 0) break;
  }
  console.log(`${bad ? 'not ok' : 'ok'} ${++n} - ${job}: ${gateway.answers} answers in ${runs} runs, ${bad} bad, ${((Date.now() - since) / 1000).toFixed(1)} s; resumed with ${JSON.stringify(gateway.resumed)}`);
}
for (const f of faults) console.log(`# ${f.replace(/\n/g, '\n# ')}`);
console.log(`1..${n}`);
process.exit(faults.length ? 1 : 0);
