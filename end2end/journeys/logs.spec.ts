// What instances write: followed by two at once, paused, found, taken away, and still there when the
// instance is not.

import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { containers, removeNamed, writes } from '../support/docker.ts';
import { until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

const POLICY = QUICK.PILOTHOUSE_POLICY.replace('verify_within=20s', 'verify_within=6s');
test.use({ settings: [{ PILOTHOUSE_POLICY: POLICY }, { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

const lines = (page: Page) => page.getByRole('log').getByRole('listitem');

async function runs(pilothouse: { prefix: string }, name: string): Promise<string> {
  const ids = await containers(`${pilothouse.prefix}-demo-local-${name}`);
  expect(ids).toHaveLength(1);
  return ids[0];
}

async function follows(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await hydrated(page);
  await expect(page.getByText(/^Following/)).toBeVisible();
  await expect(page.getByRole('banner').getByText(/^live/)).toBeVisible();
}

test('what an instance writes is read as it was meant, by two at once', async ({ pilothouse, page, another, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'talks');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const id = await runs(pilothouse, 'talks');
  const second = await another();
  await ana.enters(page.context());
  await ana.enters(second.context());
  await page.goto('/projects/demo/services/talks');
  await hydrated(page);
  await page.getByRole('link', { name: 'Logs' }).first().click();
  await expect(page.getByRole('heading', { name: 'Logs of talks in local' })).toBeVisible();
  await expect(lines(page).filter({ hasText: 'listens on' })).toHaveCount(1);
  await follows(second, '/projects/demo/services/talks/logs?of=slot.blue');

  await writes(id, '{"level":"warn","msg":"slow answer","ms":1200,"path":"/orders"}\n');
  await writes(id, '\u001b[1;31mERROR\u001b[0m no \u001b[2Jdatabase\n', 'err');
  await writes(id, Buffer.from([0x62, 0x61, 0x64, 0x20, 0xff, 0x00, 0x0a]));
  await writes(id, '<img src=x onerror=alert(1)> & <b>bold</b>\n');
  await writes(id, 'y'.repeat(1_000_000) + '\n');

  for (const at of [page, second]) {
    const slow = lines(at).filter({ hasText: 'slow answer' });
    await expect(slow).toHaveCount(1);
    await expect(slow.locator('.level.warn')).toHaveText('warn');
    await expect(slow.locator('.pair').first()).toHaveText('ms=1200');
    const error = lines(at).filter({ hasText: 'database' });
    await expect(error.locator('.ink-red.bold')).toHaveText('ERROR');
    await expect(error).toContainText('no \\e[2Jdatabase');
    await expect(error).toHaveClass(/err/);
    await expect(lines(at).filter({ hasText: 'bad' })).toContainText('\ufffd\\x00');
    await expect(lines(at).filter({ hasText: '<img src=x' })).toContainText('& <b>bold</b>');
    await expect(lines(at).filter({ hasText: 'yyy' }).locator('.cut')).toHaveText('cut: 983,616 bytes more');
  }
  expect(await page.locator('.lines img, .lines b').count(), 'nothing that was written is markup').toBe(0);

  await page.getByRole('log').evaluate((list) => list.scrollTo(0, 0));
  await looksGood(page, 'logs');
});

test('one can pause, find and take away, and a flood drowns nobody', async ({ pilothouse, page }, testInfo) => {
  test.setTimeout(120_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'floods');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const id = await runs(pilothouse, 'floods');
  await ana.enters(page.context());
  await follows(page, '/projects/demo/services/floods/logs');

  await page.getByRole('button', { name: 'Pause' }).click();
  await writes(id, 'while one pauses\n');
  await expect(page.getByText(/^Paused · \d+ lines? since$/)).toBeVisible();
  await expect(lines(page).filter({ hasText: 'while one pauses' })).toHaveCount(0);
  await page.getByRole('button', { name: 'Follow' }).click();
  await expect(lines(page).filter({ hasText: 'while one pauses' })).toHaveCount(1);

  // 20 MB, which the machine keeps whole; then 50 MB, of which it keeps the end.
  const flood = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `flood ${from + at} ${'z'.repeat(80)}\n`).join('');
  await writes(id, flood(0, 200_000));
  await expect(lines(page).filter({ hasText: 'flood 199999 ' })).toHaveCount(1, { timeout: 30_000 });
  await expect(lines(page).filter({ hasText: /lines not shown/ }).first()).toBeVisible();
  expect(await lines(page).count()).toBeLessThanOrEqual(2000);
  await writes(id, flood(200_000, 700_000));
  await writes(id, 'behind the flood\n');
  await expect(lines(page).filter({ hasText: 'behind the flood' })).toHaveCount(1, { timeout: 60_000 });

  await page.getByLabel('Words to find in the lines').fill('FLOOD 69999');
  await page.getByRole('button', { name: 'Find' }).click();
  await expect(page.getByText(/^Found 10 lines among 50,000 of 1 instance, back to/)).toContainText('Not everything was looked at', { timeout: 30_000 });
  await expect(page.locator('.lines mark').first()).toHaveText('flood 69999');

  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download' }).click();
  const file = await download;
  expect(file.suggestedFilename()).toMatch(/^demo-floods-local-\d{8}T\d{6}Z\.log$/);
  const text = await readFile(await file.path(), 'utf8');
  expect(text.length).toBeGreaterThan(10_000_000);
  expect(text.trimEnd().split('\n').at(-1)).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z blue-\w+-1 behind the flood$/);
  testInfo.annotations.push({ type: 'downloaded', description: `${text.length} bytes` });
});

test('what it wrote before it died is still there, also after the control plane began anew', async ({ pilothouse, page, consoleWatch }) => {
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live/);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'dies');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const healthy = await runs(pilothouse, 'dies');
  const rollout = await demo.deploys(await demo.release(IMAGES.unready));
  let unready = '';
  await until('the new instance runs', 20, async () => {
    unready = (await containers(`${pilothouse.prefix}-demo-local-dies-green`))[0] ?? '';
    return unready !== '';
  });
  await until('it can write', 10, async () => {
    await writes(unready, 'last words: no database at db:5432\n', 'err');
    return true;
  });
  await ana.enters(page.context());
  await follows(page, '/projects/demo/services/dies/logs');
  await expect(lines(page).filter({ hasText: 'last words' })).toHaveCount(1);

  await demo.ends(rollout, 'failed');
  await until('its container is gone', 30, async () => (await containers(`${pilothouse.prefix}-demo-local-dies-green`)).length === 0);
  await expect(page.getByText(/^gone \(.*\); its last lines were kept$/)).toBeVisible({ timeout: 15_000 });
  await pilothouse.stopConsole('SIGKILL');
  await pilothouse.startConsole();
  await expect(page.getByRole('banner').getByText(/^live/)).toBeVisible({ timeout: 15_000 });
  await writes(healthy, 'and the other one goes on\n');
  await expect(lines(page).filter({ hasText: 'goes on' })).toHaveCount(1);
  await expect(lines(page).filter({ hasText: 'last words' })).toHaveCount(1);

  await page.goto(`/rollouts/${rollout}`);
  await hydrated(page);
  await page.getByRole('link', { name: 'what its instances wrote' }).click();
  await expect(lines(page).filter({ hasText: 'last words: no database at db:5432' })).toHaveCount(1);
  await expect(lines(page).filter({ hasText: 'goes on' })).toHaveCount(0);
  // Somebody removes what is followed: the page says so and goes on.
  await page.goto('/projects/demo/services/dies/logs');
  await hydrated(page);
  await removeNamed(`${pilothouse.prefix}-demo-local-dies-blue`);
  await expect(page.getByText(/^Following/)).toBeVisible();
  await expect(lines(page).filter({ hasText: 'goes on' })).toHaveCount(1);
});

test('only who may reads logs, and not longer than he may', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of (403|404)/);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'private');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const id = await runs(pilothouse, 'private');
  const vera = await ana.adds('Vera', 'viewer');
  const { placement } = await demo.cell();
  await vera.enters(page.context());

  await page.goto('/projects/demo/services/private');
  await expect(page.getByRole('heading', { name: 'local', level: 2 })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Logs' })).toHaveCount(0);
  await page.goto('/projects/demo/services/private/logs');
  await expect(page.getByText('You may not read logs here')).toBeVisible();
  expect((await vera.fetch(`/logs/${placement}/download`)).status).toBe(403);
  const stream = await vera.fetch(`/live?topics=logs:${placement}:`, { signal: AbortSignal.timeout(3_000) });
  let heard = '';
  await writes(id, 'not for everybody\n');
  try {
    for await (const piece of stream.body!) heard += Buffer.from(piece).toString();
  } catch {
    // It does not end by itself.
  }
  expect(heard).toContain('"is":"hello"');
  expect(heard).not.toContain('not for everybody');
  expect(heard).not.toContain('listens on');

  // A grant that is taken while its stream is open.
  const dora = await ana.call<string>('people/add', { name: 'Dora', password: 'a long enough sentence 7' });
  const grant = await ana.call<string>('people/give-grant', { person: dora, role: 'deployer', project: '', environment: '' });
  const second = await another();
  await (await Person.signIn(pilothouse, 'Dora')).enters(second.context());
  await follows(second, '/projects/demo/services/private/logs');
  await expect(lines(second).filter({ hasText: 'not for everybody' })).toHaveCount(1);
  await ana.call('people/take-grant', { grant });
  await second.waitForTimeout(5_000);
  await writes(id, 'after the grant was taken\n');
  await second.waitForTimeout(1_500);
  await expect(second.getByText('after the grant')).toHaveCount(0);
});
