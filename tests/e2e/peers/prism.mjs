// prism.mjs [UPSTREAM]: Prism over docs/openapi.yaml; with UPSTREAM a proxy that also checks the answers, without a mock.
// Prints "ready {url}", then "request METHOD PATH" for each request and "violation TEXT" for what is not as the document says.
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
const require = createRequire(import.meta.url);
const { createLogger } = require('@stoplight/prism-core');
const { getHttpOperationsFromSpec } = require('@stoplight/prism-http');
const { createServer } = require('@stoplight/prism-http-server');

const upstream = process.argv[2];
const log = new PassThrough();
createInterface({ input: log }).on('line', (line) => {
  const { msg, input } = JSON.parse(line);
  if (msg === 'Request received') console.log(`request ${input.method.toUpperCase()} ${input.url.path}`);
  else if (/^Violation:|^Request terminated|did not pass the validation|not valid/.test(msg)) console.log(`violation ${msg}`);
});

const document = fileURLToPath(new URL('../../../docs/openapi.yaml', import.meta.url));
const shared = {
  validateRequest: true, validateResponse: true, checkSecurity: true, errors: false, upstreamProxy: undefined,
  mock: { dynamic: false },
};
const server = createServer(await getHttpOperationsFromSpec(document), {
  cors: false,
  config: upstream ? { ...shared, isProxy: true, upstream: new URL(upstream) } : { ...shared, isProxy: false },
  components: { logger: createLogger('prism', { level: 'trace' }, log) },
});
const url = await server.listen(0, '127.0.0.1');
console.log(`ready ${JSON.stringify({ url })}`);
