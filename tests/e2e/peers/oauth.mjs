// oauth.mjs: an OAuth server of other authors (oauth2-mock-server), and beside it a small API that lets in only who shows a token that
// the server signed, checked with its published keys. Prints "ready {api, login}"; GET /count on the API tells what happened.
import http from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { OAuth2Server } from 'oauth2-mock-server';

const seen = { mints: 0, accepted: 0, refused: 0, basic: [], grant: [], token_scope: [] };
const oauth = new OAuth2Server(undefined, undefined, { endpoints: { token: '/oauth/token' } });
await oauth.issuer.keys.generate('RS256');
await oauth.start(0, '127.0.0.1');
const { port } = oauth.address();
const login = `http://127.0.0.1:${port}`;
oauth.service.on('beforeResponse', (_answer, req) => {
  seen.mints++;
  seen.basic.push(Buffer.from((req.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString());
  seen.grant.push(req.body.grant_type ?? null);
  seen.token_scope.push(req.body.scope ?? null);
});

const keys = createRemoteJWKSet(new URL(`${login}/jwks`));
const api = http.createServer(async (req, res) => {
  const answer = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (req.url === '/count') return answer(200, seen);
  try {
    const [, token] = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '') ?? [];
    const { payload } = await jwtVerify(token ?? '', keys, { issuer: oauth.issuer.url });
    seen.accepted++;
    answer(200, { issuer: payload.iss, path: req.url });
  } catch (e) {
    seen.refused++;
    answer(401, { message: e.message, code: 'bad.credentials', status: 401 });
  }
});
api.listen(0, '127.0.0.1', () => console.log(`ready ${JSON.stringify({ api: `http://127.0.0.1:${api.address().port}`, login })}`));
