/* Opens the status page in a real browser, as an operator would, and as somebody would who sends webhooks
 * to harm one. `node page.js PAGE POST [PICTURES]`: the address of the page, that of the endpoint, and a
 * folder for the screenshots; then nothing is checked. Needs the environment's CHROMIUM and MODULES, a
 * folder of npm packages. Says what is wrong and ends with 1, or says `N checks` and ends with 0. */
'use strict';
const fs = require('fs');
const net = require('net');
const path = require('path');
const {chromium} = require(path.join(process.env.MODULES, 'playwright-core'));
const axe = fs.readFileSync(path.join(process.env.MODULES, 'axe-core/axe.min.js'), 'utf8');

const [page_address, post_address, pictures] = process.argv.slice(2);
const PATIENCE = 20000;
const PHONE = {width: 375, height: 812}, DESK = {width: 1280, height: 900};

let checks = 0;
function check(right, what) {
  checks++;
  if (!right) throw new Error(what);
}

function same(found, wanted, what) {
  check(JSON.stringify(found) === JSON.stringify(wanted),
        `${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

/* ---- What is posted ---- */

async function post(type, events) {
  const answer = await fetch(post_address, {
    method: 'POST', headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({event_type: type, server_composition: 'pro', event: {[type]: events}})});
  same(answer.status, 200, 'a webhook');
}

let number = 0;
const to = name => `${name}-${process.pid}-${++number}@example.jp`;
const bounce = (address, reason) => post('bounces', [{to: address, status: '2', reason, messageId: `<${process.pid}.${++number}@x>`}]);

const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "' onmouseover='alert(3)",
                 '\u202Egnp.exe\u202C', '\u001b]0;owned\u0007\u001b[2J', '&lt;b&gt;&amp;', '</td></table></section><h1>owned',
                 'javascript:alert(4)', '{{said}}%s%n', '\u0000\u0085\u2028'];

/* ---- The browser ---- */

/* A page that tells of everything that should not happen. */
async function open(browser, settings, address = page_address) {
  const context = await browser.newContext(settings);
  const page = await context.newPage();
  page.faults = [];
  page.setDefaultTimeout(PATIENCE);
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) page.faults.push(message.text());
  });
  page.on('pageerror', error => page.faults.push(String(error)));
  page.on('dialog', dialog => { page.faults.push('a dialog: ' + dialog.message()); dialog.dismiss(); });
  page.on('request', request => {
    if (!request.url().startsWith(new URL(address).origin) && !request.url().startsWith('data:')) {
      page.faults.push('a foreign address: ' + request.url());
    }
  });
  if (settings.javaScriptEnabled !== false) {
    await page.addInitScript(() => addEventListener('securitypolicyviolation',
      event => console.error('policy: ' + event.violatedDirective + ' ' + event.sourceFile + ' ' + event.sample)));
  }
  await page.goto(address, {waitUntil: 'load'});
  return page;
}

async function close(page) {
  same(page.faults, [], `what the browser says of ${page.url()}`);
  await page.context().close();
}

const live = page => page.waitForFunction(() => {
  const way = document.getElementById('way');
  return way.textContent === way.dataset.live;
});

/* What the page shows, and what of it is out of reach. */
const look = page => page.evaluate(() => ({
  lang: document.documentElement.lang,
  wide: document.documentElement.scrollWidth - innerWidth,
  colour: getComputedStyle(document.body).backgroundColor,
  scripts: document.querySelectorAll('script').length,
  strange: document.querySelectorAll('img,iframe,object,embed,form,base,main h1:not(#word)').length,
  headings: [...document.querySelectorAll('h1,h2')].map(heading => heading.textContent.trim())}));

async function looks_well(page, lang) {
  const found = await look(page);
  same(found.lang, lang, 'the language');
  check(found.wide <= 0, `it is ${found.wide} px too wide`);
  same([found.scripts, found.strange], [1, 0], 'elements that somebody else has put there');
  check(found.headings.length >= 7, 'headings: ' + found.headings);
  return found;
}

async function accessible(page) {
  await page.evaluate(axe);
  const {violations} = await page.evaluate(() => axe.run(document, {resultTypes: ['violations']}));
  same(violations.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 80) + ' ' + (node.any[0] || {}).message)]), [],
       'what axe finds');
}

/* ---- Checks ---- */

/* Something of everything there is to show. */
async function seed() {
  for (const status of ['queued', 'succeeded', 'failed', 'deferred', 'another']) {
    await post('deliveries', [{to: to('seed'), status, reason: '450 4.2.0 later'}]);
  }
  for (const status of ['1', '2', '5', '99', '77']) await post('bounces', [{to: to('seed'), status, reason: '550 5.1.1 no'}]);
  await post('blocks', [{address: to('seed')}]);
  await fetch(post_address, {method: 'POST', body: 'x'});
}

/* Every language, width, colour, with and without JavaScript. */
async function everywhere(browser) {
  await seed();
  for (const lang of ['en', 'ja']) {
    const colours = new Set(), titles = new Set();
    for (const viewport of [PHONE, DESK]) {
      for (const colorScheme of ['light', 'dark']) {
        const page = await open(browser, {locale: lang === 'ja' ? 'ja-JP' : 'en-US', viewport, colorScheme});
        await live(page);
        await page.locator('summary').click();
        const found = await looks_well(page, lang);
        colours.add(found.colour);
        titles.add(found.headings.join());
        // Each language in each width and in each colour: axe takes its time.
        if ((lang === 'en') === ((viewport === PHONE) === (colorScheme === 'light'))) await accessible(page);
        await close(page);
      }
      const still = await open(browser, {locale: lang, viewport, javaScriptEnabled: false});
      titles.add((await looks_well(still, lang)).headings.filter(text => !/Arriving|受信中/.test(text)).join());
      check(await still.locator('#live').isHidden(), 'what only a script fills is shown');
      await close(still);
    }
    same(colours.size, 2, 'colours');
  }
}

/* The address says which language, whatever the browser prefers; links lead from one to the other. */
async function languages(browser) {
  const page = await open(browser, {locale: 'en-US'}, page_address + '?lang=ja');
  await looks_well(page, 'ja');
  await page.locator('header a[lang=en]').click();
  await page.waitForURL(/lang=en/);
  await looks_well(page, 'en');
  await page.locator('header a[lang=ja]').click();
  await page.waitForURL(/lang=ja/);
  await close(page);
}

/* Without a script the page asks for itself again. */
async function refreshes(browser) {
  const page = await open(browser, {javaScriptEnabled: false});
  let times = 0;
  await page.route('**/*', async route => {
    const answer = await route.fetch();
    times++;
    await route.fulfill({response: answer, body: (await answer.text()).replace('content="30"', 'content="1"')});
  });
  const address = to('still');
  await bounce(address, 'gone');
  await page.goto(page_address);
  check(await page.locator('#failures').getByText(address).count() === 1, 'a bounce is not there');
  const next = to('still');
  await bounce(next, 'gone');
  await page.locator('#failures').getByText(next).waitFor();
  check(times > 1, 'it was not asked for again');
  await close(page);
}

/* Events come in, and the figures move, while the page stays what it is. */
async function arrive(browser) {
  const page = await open(browser, {viewport: DESK});
  await live(page);
  await page.evaluate(() => { window.same = true; });
  await page.locator('summary').focus();
  await page.keyboard.press('Enter');
  const count = () => page.evaluate(() => +document.querySelectorAll('#today dd b')[1].textContent.replace(/\D/g, ''));
  const before = await count();
  const [delivered, bounced] = [to('delivered'), to('bounced')];
  await post('deliveries', [{to: delivered, status: 'succeeded'}]);
  await bounce(bounced, '550 5.1.1 no such user');
  await page.locator('#live').getByText(delivered).waitFor();
  await page.locator('#live').getByText(bounced).waitFor();
  await page.locator('#failures').getByText(bounced).waitFor();
  await page.waitForFunction(least => +document.querySelectorAll('#today dd b')[1].textContent.replace(/\D/g, '') > least, before);
  check(await page.evaluate(() => window.same), 'the page was loaded again');
  check(await page.locator('details').evaluate(details => details.open), 'what was open is closed');
  same(await page.evaluate(() => document.activeElement.tagName), 'SUMMARY', 'the focus');
  await close(page);
}

/* Whatever a sender writes is shown as text. */
async function hostile(browser) {
  for (const [i, text] of HOSTILE.entries()) {
    await post('bounces', [{to: text + i, from: text, subject: text, reason: text, status: '2', messageId: `<${process.pid}.${++number}@x>`}]);
    await post('deliveries', [{to: text + i, reason: text, status: i % 2 ? 'failed' : text, created: text}]);
    await fetch(post_address + '/' + encodeURIComponent(text), {method: 'POST', body: text}).catch(() => {});
    await fetch(post_address, {method: 'POST', headers: {'Content-Type': 'application/json'},
                               body: JSON.stringify({event_type: text, event: {[text]: [[]]}})});
  }
  for (const settings of [{viewport: PHONE}, {viewport: DESK, javaScriptEnabled: false}, {viewport: DESK, locale: 'ja-JP'}]) {
    const page = await open(browser, settings);
    if (settings.javaScriptEnabled !== false) {
      await live(page);
      for (const [i, text] of HOSTILE.entries()) {
        await post('bounces', [{to: text, reason: text, status: '1', messageId: `<${process.pid}.${++number}@x>`}]);
      }
      await page.locator('#live td').first().waitFor();
      await page.waitForFunction(count => document.querySelectorAll('#live tbody tr').length === count, 10);
      await accessible(page);
    }
    const found = await looks_well(page, settings.locale === 'ja-JP' ? 'ja' : 'en');
    check(found.headings.every(text => !text.includes('owned')), 'a heading of somebody else');
    const shown = await page.locator('body').innerText();
    check(shown.includes('<script>ale'), 'markup is not shown as text'); // where there is much to show, it is cut
    check(shown.includes('\\u202egnp.exe'), 'a mark of direction is not shown');
    check(shown.includes('\\u001b]0;owned'), 'an escape is not shown');
    check(!/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028]/.test(shown), 'what cannot be seen is there');
    await close(page);
  }
}

/* All that can be used is reached with the keyboard, in the order of the page, and is seen then. */
async function keyboard(browser) {
  const page = await open(browser, {viewport: DESK});
  await live(page);
  await page.locator('summary').focus();
  await page.keyboard.press('Enter');
  const wanted = await page.evaluate(() => [...document.querySelectorAll('a[href],summary,[tabindex]')].map(
    element => element.id || element.getAttribute('href')));
  await page.evaluate(() => { document.body.tabIndex = -1; document.body.focus(); }); // from the beginning
  const reached = [];
  for (let i = 0; i < wanted.length; i++) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => {
      const element = document.activeElement, style = getComputedStyle(element);
      return style.outlineStyle === 'none' ? 'unseen' : element.id || element.getAttribute('href');
    }));
  }
  same(reached, wanted, 'what the keyboard reaches');
  await close(page);
}

/* A way to the server that can be cut. */
async function bridge(target) {
  const sockets = new Set(), way = {cut: false};
  const server = net.createServer(socket => {
    if (way.cut) { socket.destroy(); return; }
    const other = net.connect(target.port, target.hostname);
    for (const [from, into] of [[socket, other], [other, socket]]) {
      sockets.add(from);
      from.on('data', data => into.write(data));
      from.on('error', () => {});
      from.on('close', () => { into.destroy(); sockets.delete(from); });
    }
  });
  way.set = cut => { way.cut = cut; sockets.forEach(socket => socket.destroy()); };
  way.end = () => { way.set(true); return new Promise(done => server.close(done)); };
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  way.port = server.address().port;
  return way;
}

/* What came while the browser had no connection comes when it has one again, once. */
async function gap(browser) {
  const way = await bridge(new URL(page_address));
  const page = await open(browser, {viewport: DESK}, `http://127.0.0.1:${way.port}/`);
  await live(page);
  const addresses = [];
  const say = async name => { addresses.push(to(name)); await post('deliveries', [{to: addresses.at(-1), status: 'queued'}]); };
  await say('before');
  await page.locator('#live').getByText(addresses[0]).waitFor();
  way.set(true);
  await page.waitForFunction(() => document.getElementById('way').textContent === document.getElementById('way').dataset.lost);
  for (let i = 0; i < 6; i++) await say('meanwhile');
  way.set(false);
  await page.locator('#live').getByText(addresses.at(-1)).waitFor();
  await say('after');
  await page.locator('#live').getByText(addresses.at(-1)).waitFor();
  same(await page.locator('#live tbody tr td:nth-child(2)').allInnerTexts(), addresses.reverse(), 'what has come');
  page.faults = page.faults.filter(text => !/ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE/.test(text));
  await close(page);
  await way.end();
}

/* Nobody's name is on the page when addresses are hidden, nor in what flows in. */
async function hidden(browser) {
  const page = await open(browser, {viewport: DESK}, page_address + '?hide=addresses');
  await live(page);
  await bounce('hanako.yamada@hidden.example.jp', '550 <hanako.yamada@hidden.example.jp>: unknown');
  await page.locator('#live').getByText('@hidden.example.jp').first().waitFor();
  await page.locator('#failures').getByText('@hidden.example.jp').first().waitFor();
  const shown = await page.locator('body').innerText();
  check(!shown.includes('hanako'), 'an address is shown');
  check(shown.includes('*@hidden.example.jp'), 'a domain is not shown');
  const csv = await page.locator('footer a').first().evaluate(link => link.href);
  check(!(await (await fetch(csv)).text()).includes('hanako'), 'an address stands in ' + csv);
  await close(page);
}

/* A stream has no end: what has come when a hostile event has. */
async function first_events(answer) {
  let shown = '';
  for await (const bytes of answer.body) {
    shown += Buffer.from(bytes).toString();
    if (shown.includes('owned')) break;
  }
  return shown;
}

/* For curl and programs. */
async function text() {
  for (const accept of ['text/plain', '*/*', 'text/plain;q=0.9, text/html;q=0.1']) {
    const answer = await fetch(page_address, {headers: {Accept: accept}});
    const shown = await answer.text();
    same(answer.headers.get('content-type'), 'text/plain; charset=utf-8', accept);
    check(!/[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028]/.test(shown), 'what cannot be seen is in the text');
    check(shown.includes('<script>alert(1)</script>') && shown.includes('\\u001b]0;owned'), 'texts of others are not shown');
  }
  for (const [path, accept] of [['events', '*/*'], ['events?after=0', 'text/event-stream'], ['events.csv', '*/*'],
                                ['status.json', '*/*'], ['metrics', '*/*']]) {
    const answer = await fetch(new URL(path, page_address), {headers: {Accept: accept}});
    same(answer.status, 200, path);
    const shown = accept === '*/*' ? await answer.text() : await first_events(answer);
    check(!/[\0-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2028]/.test(shown), 'what cannot be seen is in ' + path);
    if (path.startsWith('events')) check(shown.includes('owned'), 'hostile events are not in ' + path);
  }
}

/* ---- Screenshots ---- */

async function take_pictures(browser) {
  for (const [name, settings] of [['desktop', {viewport: {width: 1180, height: 800}, colorScheme: 'light', locale: 'en-US'}],
                                  ['phone', {viewport: PHONE, colorScheme: 'dark', locale: 'ja-JP'}]]) {
    const page = await open(browser, settings);
    await live(page);
    await page.evaluate(() => { document.querySelector('header span').lastChild.textContent = ' gateway'; }); // not this host
    await page.screenshot({path: path.join(pictures, name + '.png'), fullPage: false});
    await close(page);
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
           '--disable-component-update', '--disable-sync', '--font-render-hinting=none']});
  try {
    if (pictures) {
      await take_pictures(browser);
      return;
    }
    for (const part of [everywhere, languages, refreshes, arrive, keyboard, hostile, gap, hidden, text]) {
      const before = checks, begin = Date.now();
      try {
        await part(browser);
      } catch (error) {
        throw new Error(`${part.name}: ${error.message}`, {cause: error});
      }
      console.log(`${part.name}: ${checks - before} checks, ${Date.now() - begin} ms`);
    }
    console.log(`${checks} checks`);
  } finally {
    await browser.close();
  }
}

main().catch(error => { console.error(error.stack); process.exitCode = 1; });
