// Runs Chromium for the suite: requests on stdin, answers and events on stdout, one JSON object a line.
//
// {id, method: 'open'}                           a new page; its number is the result
// {id, method: 'call', page, name, args}         a command of page.js
// {id, method: 'close', page}
// {page, event}                                  what happened in a page
//
// It ends, and Chromium with it, when stdin ends: so it outlives no test run, however that ended.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const SDK = createRequire(import.meta.url).resolve('livekit-client').replace(/[^/\\]*$/, 'livekit-client.umd.js');
const FILES = {
  '/': ['text/html', `<!doctype html><title>interop</title>${['sdk', 'e2ee', 'page', 'studio'].map((name) => `<script src="${name}.js"></script>`).join('')}`],
  '/sdk.js': ['text/javascript', await readFile(SDK)],
  '/e2ee.worker.js': ['text/javascript', await readFile(SDK.replace('umd.js', 'e2ee.worker.js'))],
  '/e2ee.js': ['text/javascript', await readFile(new URL('e2ee.js', import.meta.url))],
  '/page.js': ['text/javascript', await readFile(new URL('page.js', import.meta.url))],
  '/studio.js': ['text/javascript', await readFile(new URL('studio.js', import.meta.url))],
};

const ARGUMENTS = [
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--no-proxy-server',
  // Names lead off this machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--autoplay-policy=no-user-gesture-required',
  // The servers listen on loopback, and know no mDNS names.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

// Nobody reads any more: pytest was killed.
process.stdout.on('error', () => process.exit(1));

const write = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const describe = (error) => String(error?.message ?? error).split('\n    at ')[0];

// A page from loopback is a secure context, and may talk to loopback.
const server = createServer((request, response) => {
  const [type, content] = FILES[request.url] ?? ['text/plain', ''];
  response.writeHead(FILES[request.url] ? 200 : 404, { 'Content-Type': `${type}; charset=utf-8` }).end(content);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}/`;

const browser = await chromium.launch({
  executablePath: process.argv[2],
  headless: true,
  chromiumSandbox: process.getuid?.() !== 0,
  args: ARGUMENTS,
});
const pages = new Map();
let count = 0;

const methods = {
  async open() {
    const number = (count += 1);
    const page = await browser.newPage();
    await page.exposeFunction('interopEvent', (event) => write({ page: number, event }));
    page.on('pageerror', (error) => write({ page: number, event: { name: 'page_error', message: describe(error) } }));
    page.on('crash', () => write({ page: number, event: { name: 'page_error', message: 'the page crashed' } }));
    await page.goto(origin);
    pages.set(number, page);
    return number;
  },

  async call({ page, name, args }) {
    return await pages.get(page).evaluate(([command, given]) => window.interop(command, given), [name, args ?? {}]);
  },

  async close({ page }) {
    await pages.get(page)?.close();
    pages.delete(page);
  },
};

let ending = false;
browser.on('disconnected', () => ending || process.exit(1));
write({ ready: browser.version() });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, ...rest } = JSON.parse(line);
  methods[method](rest).then(
    (result) => write({ id, result: result ?? null }),
    (error) => write({ id, error: describe(error) }),
  );
}
ending = true;
await browser.close();
process.exit(0);
