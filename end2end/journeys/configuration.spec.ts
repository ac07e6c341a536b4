// What a service is told: two people at once, a secret that is then searched for wherever it must not
// be, a flag, a file, and the environments side by side.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { containers } from '../support/docker.ts';
import { run, until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

// The client of the container engine would tell everything, if it were let.
const settings = { ...QUICK, PILOTHOUSE_LOG_LEVEL: 'info,bollard=trace' };
test.use({ settings: [settings, { scope: 'worker' }], fresh: ['configuration', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

const VALUE = 'kestrel-9f3c41-over-the-harbour';

const row = (page: Page, name: string) => page.getByRole('group', { name, exact: true });

/** What is told of an instance that runs. */
async function inspected(pilothouse: Pilothouse): Promise<{ env: string[]; rest: string }[]> {
  const ids = await containers(pilothouse.prefix);
  const all = JSON.parse(await run('docker', ['container', 'inspect', ...ids])) as { Config: { Env: string[] } }[];
  return all.map((one) => {
    const env = one.Config.Env;
    one.Config.Env = [];
    return { env, rest: JSON.stringify(one) };
  });
}

function files(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return files(path);
    return entry.isFile() && statSync(path).size < 256 << 20 ? [path] : [];
  });
}

test('a secret reaches its instances and is nowhere else', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of 409/);
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'releaser');
  const demo = await Demo.add(pilothouse, ana, 'told');
  const release = await demo.release(IMAGES.v1);
  await demo.ends(await demo.deploys(release));
  await ana.enters(page.context());
  const his = await another();
  await bo.enters(his.context());
  const home = '/projects/demo/services/told';

  // Everything that is told while it happens.
  const streamed: string[] = [];
  const stream = new AbortController();
  const live = await ana.fetch('/live?after=0', { signal: stream.signal });
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of live.body!) streamed.push(decoder.decode(piece as Uint8Array, { stream: true }));
  })().catch(() => undefined);
  const answers: string[] = [];
  for (const one of [page, his]) {
    one.on('response', async (response) => {
      const told = await response.text().catch(() => '');
      answers.push(JSON.stringify(response.headers()), response.url(), told);
    });
  }

  await his.goto(`${home}/configuration?in=local`);
  await hydrated(his);
  await row(his, 'New variable').first().getByLabel('Name').fill('HIS');
  await row(his, 'New variable').first().getByLabel('Value').fill('typed by Bo');

  await page.goto(`${home}/configuration?in=local&show=secrets`);
  await hydrated(page);
  await page.getByLabel('Name').fill('API_KEY');
  await page.getByLabel('Value').fill(`${VALUE}\n`);
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await expect(page.getByText(/version 1, set by Ana/)).toBeVisible();
  await expect(page.getByLabel('Value').last()).toHaveValue('');

  // The other one is told, keeps what he typed, and does not save over it.
  await expect(his.getByText('Configuration 2 was made since this page was drawn')).toBeVisible();
  await his.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(his.getByRole('alert').filter({ hasText: 'Nothing was saved' })).toBeVisible();
  await expect(row(his, 'New variable').first().getByLabel('Value')).toHaveValue('typed by Bo');
  expect((await demo.page()).placements[0].configuration.number).toBe(2);

  // What runs keeps its own until the rollout.
  expect(JSON.parse(await demo.get('/told?name=API_KEY'))).toEqual({ set: false, bytes: null });
  await page.goto(home);
  await hydrated(page);
  await expect(page.getByText('number 1 runs: roll out again to take this one')).toBeVisible();
  await page.getByRole('button', { name: 'Roll out 1.0.0 again' }).click();
  await page.waitForURL(/\/rollouts\//);
  const rollout = new URL(page.url()).pathname.split('/').pop()!;
  await demo.ends(rollout);
  expect(JSON.parse(await demo.get('/told?name=API_KEY'))).toEqual({ set: true, bytes: VALUE.length });

  await test.step('searched for everywhere', async () => {
    const { placement } = await demo.cell();
    const told = await inspected(pilothouse);
    expect(told.some(({ env }) => env.includes(`API_KEY=${VALUE}`))).toBe(true);
    const paths = ['/', home, `${home}/edit`, `${home}/releases/new`, `${home}/logs?in=local`, `/rollouts/${rollout}`];
    paths.push(`/releases/${release}`, '/history', '/history/export.csv', '/history/export.jsonl', '/account', '/people');
    paths.push('/environments', '/access', `/logs/${placement}/download`, '/readyz', '/metrics');
    for (const show of ['', '&show=secrets', '&show=file']) paths.push(`${home}/configuration?in=local${show}`);
    const places: Record<string, string> = {};
    for (const path of paths) {
      const response = await ana.fetch(path);
      expect([path, response.status]).toEqual([path, 200]);
      places[path] = JSON.stringify([...response.headers]) + (await response.text());
    }
    expect(places['/history/export.csv']).toContain('API_KEY');
    for (const endpoint of ['services/page', 'configurations/page']) {
      places[endpoint] = JSON.stringify(await ana.call(endpoint, { project: 'demo', service: 'told' }));
    }
    places.rollout = JSON.stringify(await demo.rollout(rollout));
    expect(places.rollout).toContain('API_KEY version 1');
    places.history = JSON.stringify(await ana.call('history/page', {}));
    stream.abort();
    await reading;
    places.stream = streamed.join('');
    expect(places.stream).toContain('API_KEY');
    places.answers = answers.join('\n');
    expect(places.answers).toContain('API_KEY');
    places.containers = told.map(({ rest }) => rest).join('\n');
    places.image = await run('docker', ['image', 'history', '--no-trunc', IMAGES.v1]);
    places.images = await run('docker', ['image', 'inspect', IMAGES.v1]);
    const socket = join(pilothouse.data, 'postgres', 'socket');
    places.dump = await run('pg_dump', ['--host', socket, '--username', 'postgres', '--dbname', 'pilothouse']);
    expect(places.dump).toContain('API_KEY');
    for (const path of files(pilothouse.data)) places[path] = readFileSync(path, 'latin1');
    expect(places[join(pilothouse.data, 'pilothouse.log')].length).toBeGreaterThan(500);

    const spelled = [VALUE, Buffer.from(VALUE).toString('hex'), Buffer.from(VALUE).toString('base64').slice(0, 36)];
    const found = Object.entries(places).filter(([, text]) => spelled.some((one) => text.includes(one)));
    expect(found.map(([place]) => place)).toEqual([]);
  });
});

test('rows, a file and a flag, with scripts and without', async ({ pilothouse, page, another, accessible, consoleWatch }) => {
  consoleWatch.expect(/status of 4\d\d/, /preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  const vera = await ana.adds('Vera', 'viewer');
  const demo = await Demo.add(pilothouse, ana, 'flagged');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const { placement } = await demo.cell();
  const home = '/projects/demo/services/flagged';
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await ana.enters(page.context());

  await test.step('rows without scripts', async () => {
    await plain.goto(`${home}/configuration?in=local`);
    const fresh = row(plain, 'New variable');
    await fresh.nth(0).getByLabel('Name').fill('WAIT_S');
    await fresh.nth(0).getByLabel('Type').selectOption('number');
    await fresh.nth(0).getByLabel('Value').fill('soon');
    await fresh.nth(1).getByLabel('Name').fill('NEW_DOOR');
    await fresh.nth(1).getByLabel('Type').selectOption('yes_no');
    await fresh.nth(1).getByLabel('Value').fill('no');
    await fresh.nth(1).getByLabel('What it is for').fill('The new front door');
    await plain.getByRole('button', { name: 'Save', exact: true }).click();
    const wrong = row(plain, 'New variable').nth(0).getByLabel('Value');
    await expect(wrong).toHaveAccessibleDescription(/This is a number/);
    await expect(wrong).toHaveValue('soon');
    await expect(row(plain, 'New variable').nth(1).getByLabel('What it is for')).toHaveValue('The new front door');
    await wrong.fill('30');
    await plain.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(row(plain, 'WAIT_S').getByLabel('Value')).toHaveValue('30');
    await expect(row(plain, 'NEW_DOOR').getByLabel('Value')).toHaveValue('false');
  });

  await test.step('a file, looked at before it is saved', async () => {
    await plain.goto(`${home}/configuration?in=local&show=file`);
    await plain.getByLabel('Lines of an .env file').fill("export MODE='a b' # why\nWAIT_S=later\nnot a line");
    await plain.getByRole('button', { name: 'Import' }).click();
    const preview = plain.getByRole('group', { name: 'What would change' });
    await expect(preview).toContainText('Adds 1, changes 0, removes 0');
    await expect(preview).toContainText('Line 2: WAIT_S: This is a number');
    await expect(preview).toContainText('Line 3: a variable is NAME=value.');
    expect((await demo.page()).placements[0].configuration.number).toBe(2);
    await plain.getByRole('button', { name: 'Import' }).click();
    await expect(plain.getByLabel('flagged.local.env')).toHaveValue(/MODE='a b'/);
    expect((await demo.page()).placements[0].configuration.number).toBe(3);
  });

  await test.step('rows with scripts', async () => {
    await page.goto(`${home}/configuration?in=local`);
    await hydrated(page);
    await accessible(page);
    await row(page, 'WAIT_S').getByLabel('Value').fill('x');
    await expect(row(page, 'WAIT_S').getByLabel('Value')).toHaveAccessibleDescription(/This is a number/);
    await row(page, 'WAIT_S').getByLabel('Value').fill('45');
    await page.getByRole('button', { name: 'One more row' }).click();
    const last = row(page, 'New variable').last();
    await last.getByLabel('Name').fill('LEVEL');
    await last.getByLabel('Type').selectOption('choice');
    await last.getByLabel('Options').fill('info, debug');
    await last.getByLabel('Value').fill('debug');
    await row(page, 'MODE').getByLabel('Remove').check();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(row(page, 'LEVEL').getByLabel('Value')).toHaveValue('debug');
    await expect(row(page, 'MODE')).toHaveCount(0);
  });

  await test.step('the flag', async () => {
    await page.goto(home);
    await hydrated(page);
    await accessible(page);
    const local = page.getByRole('row').filter({ hasText: 'NEW_DOOR' }).locator('td').first();
    await expect(local).toContainText('no');
    await expect(page.getByRole('row').filter({ hasText: 'NEW_DOOR' }).locator('td').nth(1)).toContainText('missing');
    await local.getByRole('button', { name: 'Turn on' }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('1.0.0 is rolled out again with it');
    await expect(dialog).toContainText('what was changed since comes live with it');
    await dialog.getByRole('button', { name: 'Turn on and roll out' }).click();
    await page.waitForURL(/\/rollouts\//);
    await demo.ends(new URL(page.url()).pathname.split('/').pop()!);
    const live = (await inspected(pilothouse)).filter(({ env }) => env.includes('NEW_DOOR=true'));
    expect(live.length).toBe(1);
    expect(live[0].env).toContain('WAIT_S=45');
  });

  await test.step('who may only look', async () => {
    const hers = await another();
    await vera.enters(hers.context());
    await hers.goto(home);
    await hydrated(hers);
    await expect(hers.getByRole('row').filter({ hasText: 'NEW_DOOR' })).toContainText('yes');
    await expect(hers.getByRole('button', { name: /Turn o/ })).toHaveCount(0);
    await hers.goto(`${home}/configuration?in=local`);
    await expect(hers.getByText('WAIT_S')).toBeVisible();
    await expect(hers.getByRole('button', { name: 'Save' })).toHaveCount(0);
    const secret = { placement, name: 'API_KEY', secret: 'x', based_on: '0' };
    await expect(vera.call('configurations/set-secret', secret)).rejects.toMatchObject({ status: 403 });
    const flag = { placement, name: 'NEW_DOOR', on: 'no', based_on: '5' };
    await expect(vera.call('configurations/switch', flag)).rejects.toMatchObject({ status: 403 });
  });

  await test.step('on a phone nothing is cut off', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of [home, `${home}/configuration?in=local`, `${home}/configuration?in=local&show=secrets`, `${home}/configuration?in=local&show=file`]) {
      await page.goto(path);
      await hydrated(page);
      await until('it fits', 5, () => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    }
  });
});
