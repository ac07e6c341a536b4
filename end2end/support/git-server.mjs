// git-server.mjs ROOT CERTIFICATE KEY: serves the repositories under ROOT over https on a free port of
// 127.0.0.1, and prints the port. Plain JavaScript, so that tests of other languages start it too.
//
//   /NAME.git                   git's own smart server
//   /private/NAME.git           the same, for the user "reader" with the token "let-me-read"
//   /to/ENCODED-URL/NAME.git    a redirect to that address
//   /slow/NAME.git              the same as the first, 32 KiB a tenth of a second
//   /trickle/NAME.git           an answer that comes byte by byte and has no end
//   /endless/NAME.git           a list of refs that has no end
//   /silent/NAME.git            takes the request and never answers
//
// What was asked is told on standard output, a line for each request, without headers.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [root, certificate, key] = process.argv.slice(2);
const LOGIN = `Basic ${Buffer.from('reader:let-me-read').toString('base64')}`;

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
  const url = new URL(request.url, 'https://localhost');
  console.log(`${request.method} ${url.pathname}${url.search}`);
  const [, first, ...rest] = url.pathname.split('/');
  switch (first) {
    case 'to': {
      const [where, ...path] = rest;
      const location = `${decodeURIComponent(where)}/${path.join('/')}${url.search}`;
      response.writeHead(302, { location }).end();
      return;
    }
    case 'private':
      if (request.headers.authorization !== LOGIN) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
        return;
      }
      return backend(request, response, `/${rest.join('/')}`, url.search.slice(1));
    case 'slow':
      return backend(request, response, `/${rest.join('/')}`, url.search.slice(1), 32 * 1024);
    case 'trickle':
      return forever(response, 100, () => '#');
    case 'endless': {
      let number = 0;
      response.setHeader('content-type', 'application/x-git-upload-pack-advertisement');
      response.write('001e# service=git-upload-pack\n0000');
      return forever(response, 0, () => {
        let some = '';
        for (let i = 0; i < 500; i++) {
          const end = number === 0 ? '\0symref=HEAD:refs/heads/b0\n' : '\n';
          const line = `${'0123456789'.repeat(4)} refs/heads/b${number++}${end}`;
          some += (line.length + 4).toString(16).padStart(4, '0') + line;
        }
        return some;
      });
    }
    case 'silent':
      return;
    default:
      return backend(request, response, url.pathname, url.search.slice(1));
  }
});

function forever(response, pause, piece) {
  const timer = { stopped: false };
  response.on('close', () => (timer.stopped = true));
  const next = () => {
    if (timer.stopped) return;
    const room = response.write(piece());
    if (room) setTimeout(next, pause);
    else response.once('drain', () => setTimeout(next, pause));
  };
  next();
}

function backend(request, response, path, query, aTenth = 0) {
  const cgi = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_PROTOCOL: request.headers['git-protocol'] ?? '',
      REQUEST_METHOD: request.method,
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  cgi.stdin.on('error', () => {});
  response.on('close', () => cgi.kill());
  request.pipe(cgi.stdin);
  let waits = Promise.resolve();
  const write = (some) => {
    if (!aTenth) {
      response.write(some);
      return;
    }
    cgi.stdout.pause();
    waits = (async () => {
      for (let at = 0; at < some.length && !response.destroyed; at += aTenth) {
        response.write(some.subarray(at, at + aTenth));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      cgi.stdout.resume();
    })();
  };
  let head = Buffer.alloc(0);
  let begun = false;
  cgi.stdout.on('data', (some) => {
    if (begun) {
      write(some);
      return;
    }
    head = Buffer.concat([head, some]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    begun = true;
    for (const line of head.subarray(0, end).toString().split('\r\n')) {
      const [name, value] = [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()];
      if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    write(head.subarray(end + 4));
  });
  cgi.stdout.on('end', () => waits.then(() => response.end()));
}

// Nobody is left to ask for anything when the one who started this is gone.
process.stdin.resume().on('end', () => process.exit(0));
server.listen(0, '127.0.0.1', () => console.log(`${server.address().port}`));
