// recorder.mjs UPSTREAM: a proxy that prints what it passes on. Prints "ready {url}", then for each request that is not
// a GET "sent {method, path, if_match, body, sha256}", when its body has arrived.
import { createHash } from 'node:crypto';
import http from 'node:http';

const upstream = new URL(process.argv[2]);
const server = http.createServer((req, res) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const body = Buffer.concat(parts);
    if (req.method !== 'GET' && !req.url.startsWith('/oauth')) {
      console.log(`sent ${JSON.stringify({
        method: req.method, path: req.url, if_match: req.headers['if-match'] ?? null,
        sha256: createHash('sha256').update(body).digest('hex'),
      })}`);
    }
    const to = http.request({ host: upstream.hostname, port: upstream.port, method: req.method, path: req.url, headers: req.headers },
      (from) => {
        res.writeHead(from.statusCode, from.rawHeaders);
        from.pipe(res);
      });
    to.on('error', () => res.destroy());
    to.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`ready ${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}`));
