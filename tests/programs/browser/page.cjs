// Tests the page in a real Chromium: node page.cjs MODULES ADDRESS CLUSTER HOSTILE PICTURES
//
// ADDRESS is a demo and CLUSTER its simulated API server; HOSTILE is a podskew whose cluster has hostile names. PICTURES is the folder
// for screenshots, or empty.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const assert = require('node:assert/strict');
const [modules, address, cluster, hostile, pictures] = process.argv.slice(2);
const puppeteer = require(path.resolve(modules, 'puppeteer-core'));
const axe = fs.readFileSync(path.resolve(modules, 'axe-core/axe.min.js'), 'utf8');
const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(fs.existsSync);

const PAGES = ['', '?state=all', '?q=web', '?state=nonsense', 'workload/shop/deployment/web', 'workload/payments/deployment/ledger', 'workload/data/statefulset/ledger-db', 'workload/no/such/one', 'image?ref=registry.example%2Fshop%2Fweb%3Aproduction-latest', 'node/node-a-0006', 'workload/nowhere'];
const WIDTHS = [360, 1440, 2000];

// A browser page that fails the run at a request to another site, or at an error in the console.
async function open(browser, { script = true, scheme = 'light', width = 1440, height = 1000, hosts = [] } = {}) {
  const page = await browser.newPage();
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
  page.complaints = [];
  page.on('console', (message) => {
    // The console logs the status of an error page, which is expected.
    const is_status = /status of (4\d\d|503)/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !is_status) page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('dialog', (dialog) => { page.complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol !== 'data:' && ![address, hostile, ...hosts].includes(host)) page.complaints.push(`asks for ${request.url()}`);
  });
  return page;
}

async function go(page, url) {
  // A page with updates is never idle: its event stream stays open.
  await page.goto(url, { waitUntil: 'load' });
  await page.waitForSelector('#main > *');
}

async function judge(page, what) {
  // Axe is injected through the protocol, which a Content-Security-Policy does not block. On its own it would need a frame.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).slice(0, 3).join(' | ')}`);
  assert.deepEqual(found, [], `axe finds in ${what}`);
}

const text = (page, selector = 'main') => page.$eval(selector, (element) => element.innerText);

async function until(what, holds, patience = 60_000) {
  const begun = Date.now();
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() - begun < patience, `${what} does not come`);
    await new Promise((done) => { setTimeout(done, 100); });
  }
}

async function accessibility(browser, base) {
  for (const scheme of ['light', 'dark']) {
    for (const width of WIDTHS) {
      const page = await open(browser, { scheme, width });
      for (const place of PAGES) {
        await go(page, base + place);
        await judge(page, `${place} at ${width} px, ${scheme}`);
        const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${place} is ${wide} px wider than ${width}`);
      }
      assert.deepEqual(page.complaints, []);
      await page.close();
    }
  }
}

async function withoutScript(browser, base) {
  const page = await open(browser, { script: false });
  await go(page, base);
  const html = await page.content();
  assert.match(html, /of 24 workloads (is|are) not uniform/);
  assert.ok((await page.$$('table.workloads tbody tr')).length >= 7);
  // Links, the Back button, and the search form work.
  await Promise.all([page.waitForNavigation(), page.click('a[href="workload/shop/deployment/web"]')]);
  assert.equal(new URL(page.url()).pathname, '/workload/shop/deployment/web');
  await page.goBack();
  assert.equal(new URL(page.url()).pathname, '/');
  await page.type('#q', 'wiki');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  assert.equal(new URL(page.url()).search, '?q=wiki');
  assert.match(await page.content(), /internal/);
  await Promise.all([page.waitForNavigation(), page.click('thead th:nth-child(2) a')]);
  assert.match(page.url(), /sort=workload/);
  assert.match(await page.content(), /aria-sort="ascending"/);
  assert.equal(await page.$('button.copy'), null, 'no button does nothing');
  assert.deepEqual(page.complaints, []);
  await page.close();
}

async function keysAndButtons(browser, base) {
  const page = await open(browser);
  await go(page, base);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('href') ?? document.activeElement.id);
  await page.keyboard.press('j');
  const first = await focused();
  await page.keyboard.press('j');
  assert.notEqual(await focused(), first);
  await page.keyboard.press('k');
  assert.equal(await focused(), first);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  assert.match(page.url(), /\/workload\//);
  await page.waitForSelector('button.copy');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Escape')]);
  assert.equal(new URL(page.url()).pathname, '/');
  await page.keyboard.press('?');
  assert.ok(await page.$('dialog[open]'));
  await judge(page, 'the keys');
  await page.keyboard.press('Escape');
  assert.equal(await page.$('dialog[open]'), null);
  await page.keyboard.press('/');
  assert.equal(await focused(), 'q');
  // In the search field they are normal letters.
  await page.keyboard.type('jk?/');
  assert.equal(await page.$eval('#q', (field) => field.value), 'jk?/');
  assert.equal(await page.$('dialog[open]'), null);
  await browser.defaultBrowserContext().overridePermissions(base, ['clipboard-read', 'clipboard-write']);
  await page.click('tbody button.copy');
  await page.waitForFunction(() => document.querySelector('tbody button.copy').textContent === 'Copied');
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^kubectl /);
  assert.equal(copied, await page.$eval('tbody pre code', (code) => code.textContent));
  assert.deepEqual(page.complaints, []);
  await page.close();
}

// Runs the command on the page, and watches on the same page how the rollout begins and ends.
async function live(browser, base) {
  const page = await open(browser);
  await go(page, `${base}workload/shop/deployment/web`);
  await until('the stream', async () => /live/.test(await text(page, '#live')));
  const command = await page.$eval('section.finding pre:nth-of-type(2) code', (code) => code.textContent);
  const image = /web=(\S+)$/.exec(command)[1];
  assert.match(image, /@sha256:/);
  await page.evaluate(() => { window.here = 'the same document'; });
  const patch = { spec: { template: { spec: { containers: [{ name: 'web', image }] } } } };
  const url = `${cluster}/apis/apps/v1/namespaces/shop/deployments/web`;
  const answer = await fetch(url, { method: 'PATCH', headers: { 'content-type': 'application/strategic-merge-patch+json' }, body: JSON.stringify(patch) });
  assert.equal(answer.status, 200, await answer.text());
  await until('the rollout', async () => /in progress/.test(await text(page)));
  await until('its end', async () => {
    const now = await text(page);
    return /uniform/.test(now) && /Rollout\s+complete/.test(now) && !/digest skew/.test(now);
  }, 180_000);
  assert.equal(await page.evaluate(() => window.here), 'the same document', 'nothing was loaded anew');
  await until('the overview', async () => {
    await page.goto(base);
    return /(2|1) of 24 workloads/.test(await text(page));
  });
  assert.deepEqual(page.complaints, []);
  await page.close();
}

// An ingress that serves the page below a path, and strips this path.
async function belowAPath(browser, base) {
  const prefix = '/tools/podskew';
  const proxy = http.createServer((request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) { response.writeHead(404).end(); return; }
    const { pathname, search } = new URL(request.url.slice(prefix.length), base);
    const upstream = http.get(base + pathname.slice(1) + search, { headers: { ...request.headers, host: address } }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
  });
  await new Promise((done) => { proxy.listen(0, '127.0.0.1', done); });
  const host = `127.0.0.1:${proxy.address().port}`;
  const page = await open(browser, { hosts: [host] });
  await go(page, `http://${host}${prefix}/?state=all`);
  await until('the stream', async () => /live/.test(await text(page, '#live')));
  for (const [selector, place] of [['a[href="workload/shop/deployment/web"]', 'workload/shop/deployment/web'], ['a.image', 'image?ref=registry.example%2Fshop%2Fweb%3Aproduction-latest'], ['td a', 'workload/shop/deployment/web'], ['.matrix thead a', 'node/node-a-0000'], ['.brand', '']]) {
    await Promise.all([page.waitForNavigation(), page.click(selector)]);
    assert.equal(page.url(), `http://${host}${prefix}/${place}`);
    await page.waitForSelector('#main > *');
    // Style and script are below the path, too.
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.top')).display), 'flex');
  }
  assert.deepEqual(page.complaints, []);
  await page.close();
  proxy.closeAllConnections();
  proxy.close();
}

async function hostileNames(browser) {
  const page = await open(browser);
  const base = `http://${hostile}/`;
  await go(page, `${base}?state=all`);
  const links = await page.$$eval('table.overview tbody th > a', (links) => links.map((link) => link.href));
  assert.ok(links.length > 0);
  await judge(page, 'hostile names');
  for (const link of links) {
    await go(page, link);
    assert.ok((await page.$$('section')).length > 2, `${link} is a page`);
    await judge(page, link);
    const elements = await page.evaluate(() => [document.images.length, document.scripts.length, document.querySelectorAll('[onerror], [onload], iframe').length, window.pwned ?? 0]);
    assert.deepEqual(elements, [0, 1, 0, 0]);
  }
  assert.deepEqual(page.complaints, []);
  await page.close();
}

async function draw(browser, base) {
  const taken = [
    ['overview', '', { height: 900 }],
    ['workload', 'workload/shop/deployment/web', { height: 1000 }],
    ['dark', '', { scheme: 'dark', height: 900 }],
    ['narrow', '', { width: 390, height: 844 }],
  ];
  for (const [name, place, options] of taken) {
    const page = await open(browser, options);
    await go(page, base + place);
    await until('the stream', async () => /live/.test(await text(page, '#live')));
    await page.screenshot({ path: path.join(pictures, `${name}.png`) });
    await page.close();
  }
}

(async () => {
  const arguments_ = ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--disable-dev-shm-usage'];
  const browser = await puppeteer.launch({ executablePath, headless: true, args: arguments_ });
  const base = `http://${address}/`;
  try {
    for (const [what, run] of Object.entries({ accessibility, withoutScript, keysAndButtons, belowAPath, hostileNames, draw, live })) {
      if (run === draw && !pictures) continue;
      await run(browser, base);
      console.log(`${what}: as it should be`);
    }
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
