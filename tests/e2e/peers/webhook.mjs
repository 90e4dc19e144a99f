// webhook.mjs: the standardwebhooks package as signer and verifier. One JSON request a line on stdin, one JSON answer a line on stdout:
//   {verify: {secret, headers, body}} -> {ok} or {ok: false, error}      {sign: {secret, id, timestamp, body}} -> {signature}
import { createInterface } from 'node:readline';
import { Webhook } from 'standardwebhooks';

for await (const line of createInterface({ input: process.stdin })) {
  const { verify, sign } = JSON.parse(line);
  let answer;
  try {
    if (verify) new Webhook(verify.secret).verify(verify.body, verify.headers);
    answer = verify ? { ok: true } : { signature: new Webhook(sign.secret).sign(sign.id, new Date(sign.timestamp * 1000), sign.body) };
  } catch (e) {
    answer = { ok: false, error: e.message };
  }
  console.log(JSON.stringify(answer));
}
