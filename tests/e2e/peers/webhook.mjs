// webhook.mjs: three verifiers and signers of other making: the packages standardwebhooks and svix, and MLflow's scheme as its docs
// describe it (https://mlflow.org/docs/latest/ml/webhooks): v1,<base64 of HMAC-SHA-256 over "delivery_id.timestamp.payload">, keyed
// with the secret's bytes.
//   webhook.mjs           one JSON request a line on stdin, one JSON answer a line on stdout:
//       {lib, verify: {secret, headers, body}} -> {ok} or {ok: false, error}      {lib, sign: {secret, id, timestamp, body}} -> {headers}
//   webhook.mjs receive   a receiver. Prints "ready {url}", then "got {json}" for each POST to /LIB/STATUS[,STATUS...]: the nth request
//       of an id gets the nth status (the last one goes on), the secret is the environment's HOOK_SECRET.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Webhook as Standard } from 'standardwebhooks';
import { Webhook as Svix } from 'svix';

const mlflow = {
  sign: (secret, id, timestamp, body) =>
    'v1,' + createHmac('sha256', Buffer.from(secret, 'utf8')).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64'),
  verify(secret, headers, body) {
    const id = headers['x-mlflow-delivery-id'], timestamp = headers['x-mlflow-timestamp'], signature = headers['x-mlflow-signature'];
    if (!id || !timestamp || !signature) throw new Error('a header is missing');
    if (Math.abs(Date.now() / 1000 - Number.parseInt(timestamp, 10)) > 300) throw new Error('too old');
    if (!signature.startsWith('v1,')) throw new Error('not version 1');
    const want = Buffer.from(mlflow.sign(secret, id, timestamp, body)), got = Buffer.from(signature);
    if (want.length !== got.length || !timingSafeEqual(want, got)) throw new Error('no match');
  },
};
const of = (Webhook) => ({
  verify: (secret, headers, body) => new Webhook(secret).verify(body, headers),
  sign: (secret, id, timestamp, body) => new Webhook(secret).sign(id, new Date(timestamp * 1000), body),
});
const libs = { standardwebhooks: of(Standard), svix: of(Svix), mlflow };
const lower = (headers) => Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v]));
const attempt = (fn) => {
  try {
    return fn();
  } catch (e) {
    return { ok: false, error: e.message };
  }
};

function answer({ lib = 'standardwebhooks', verify, sign }) {
  if (verify) {
    libs[lib].verify(verify.secret, lower(verify.headers), verify.body);
    return { ok: true };
  }
  const { secret, id, timestamp, body } = sign, signature = libs[lib].sign(secret, id, timestamp, body);
  const names = lib === 'mlflow' ? ['X-MLflow-Delivery-Id', 'X-MLflow-Timestamp', 'X-MLflow-Signature']
    : ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
  return { signature, headers: { [names[0]]: id, [names[1]]: String(timestamp), [names[2]]: signature } };
}

const seen = new Map();
function receive(req, res) {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const [, lib, statuses] = req.url.split('/'), body = Buffer.concat(parts).toString('utf8');
    const id = req.headers['webhook-id'] ?? req.headers['x-mlflow-delivery-id'], n = seen.get(id) ?? 0;
    seen.set(id, n + 1);
    const list = statuses.split(','), status = Number(list[Math.min(n, list.length - 1)]);
    const verdict = attempt(() => answer({ lib, verify: { secret: process.env.HOOK_SECRET, headers: req.headers, body } }));
    console.log(`got ${JSON.stringify({ lib, id, ...verdict, headers: req.headers, body, status })}`);
    res.writeHead(status).end();
  });
}

if (process.argv[2] === 'receive') {
  const server = createServer(receive);
  server.listen(0, '127.0.0.1', () => console.log(`ready ${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}`));
} else {
  for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(attempt(() => answer(JSON.parse(line)))));
}
