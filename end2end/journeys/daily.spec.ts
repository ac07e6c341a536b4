// A day with two people: promoted by hand, restarted under load, stopped and started, brought to the
// next environment, killed for memory, changed by hand, and taken away.

import { containers } from '../support/docker.ts';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { run, until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { byHand } from '../support/policy.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }], fresh: ['daily', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

/** Containers of a service that run or ran. */
const of = async (pilothouse: Pilothouse, service: string, environment = 'local') =>
  containers(`${pilothouse.prefix}-demo-${environment}-${service}`);

const inspect = async (id: string, format: string) => run('docker', ['container', 'inspect', '--format', format, id]);

/** What the history tells of a service, newest first. */
async function told(person: Person, service: string): Promise<string[]> {
  const page = await person.call<{ rows: { row: { sentence: { text: string }[] } }[] }>('history/page', { 'filter[service]': service });
  return page.rows.map(({ row }) => row.sentence.map(({ text }) => text).join(''));
}

test('promotion by hand: seen at its preview address, promoted by another, and its wait is told', async ({ pilothouse, page, another, accessible }) => {
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'deployer');
  const vera = await ana.adds('Vera', 'viewer');
  const demo = await Demo.add(pilothouse, ana, 'hand');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));

  await byHand(ana, true);
  await ana.enters(page.context());
  await page.goto('/environments');
  await hydrated(page);
  await expect(page.getByText(/A person promotes it, within/)).toHaveCount(1);
  await page.goto('/environments/local');
  await hydrated(page);
  await expect(page.getByLabel('A person promotes between verified and the switch').first()).toBeChecked();

  const rollout = await demo.deploys(await demo.release(IMAGES.v2));
  await demo.reaches(rollout, 'awaiting_promotion');
  expect(await demo.get('/version')).toContain('1.0.0');
  const pages = await another();
  await bo.enters(pages.context());
  await pages.goto(`/rollouts/${rollout}`);
  await hydrated(pages);
  await expect(pages.getByText(/waits for a person until/)).toBeVisible();
  const preview = pages.getByRole('link', { name: /^next--hand/ }).first();
  await expect(preview).toHaveAttribute('href', demo.url('').replace('//hand', '//next--hand'));
  expect(await demo.preview('/version')).toContain('2.0.0');
  await accessible(pages);

  const refused = await vera.call('rollouts/ask', { rollout, ask: 'promote' }).catch((refusal) => refusal.status);
  expect(refused).toBe(403);
  await pages.getByRole('button', { name: 'Promote' }).click();
  await pages.getByRole('dialog').getByRole('button', { name: 'Promote' }).click();
  await demo.ends(rollout);
  expect(await demo.get('/version')).toContain('2.0.0');
  await byHand(ana, false);
});

test('three are restarted one by one under load and nothing is lost, also when the engine is killed', async ({ pilothouse, page, consoleWatch }) => {
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live/);
  test.setTimeout(120_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'turns', { size: '3' });
  await byHand(ana, false);
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const before = await of(pilothouse, 'turns');
  expect(before).toHaveLength(3);
  const starts = await Promise.all(before.map((id) => inspect(id, '{{.State.StartedAt}}')));
  const load = Load.start(demo.url(), { rate: 200, websockets: 0, events: 0 });
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/turns');
  await hydrated(page);

  const local = page.locator('li.placement').first();
  await local.getByRole('button', { name: 'Restart' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click();
  await expect(local.getByText(/1 of 3 restarted, by Ana/)).toBeVisible({ timeout: 20_000 });
  await pilothouse.stopConsole('SIGKILL');
  await pilothouse.startConsole();
  const cell = async () => (await demo.cell()) as unknown as { restart: { done: number; failed: string | null } | null };
  await until('the restart is over', 60, async () => (await cell()).restart === null);

  const report = await load.stop();
  expect({ failed: report.failed, why: report.failures.slice(0, 5) }).toEqual({ failed: 0, why: [] });
  const after = await of(pilothouse, 'turns');
  expect(after.sort()).toEqual(before.sort());
  for (const [at, id] of before.entries()) expect(await inspect(id, '{{.State.StartedAt}}')).not.toBe(starts[at]);
  console.log(`restart of 3: ${report.failed} of ${report.sent} failed, longest gap ${report.longest_gap_ms} ms`);
});

test('it grows and shrinks by its page without losing a request, and its warm slot is kept longer and let go', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  await byHand(ana, false);
  const demo = await Demo.add(pilothouse, ana, 'grown');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v2)));
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/grown');
  await hydrated(page);
  const local = page.getByRole('listitem', { name: 'local' });
  const before = (await demo.cell()).warm!;

  await local.getByRole('button', { name: 'Keep 15 min longer' }).click();
  await until('it is warm for longer', 10, async () => Date.parse((await demo.cell()).warm!.until) - Date.parse(before.until) >= 14 * 60_000);
  await local.getByRole('button', { name: 'Let it go now' }).click();
  await expect(local.getByRole('button', { name: 'Let it go now' })).toHaveCount(0);
  await until('only the live slot is there', 20, async () => (await of(pilothouse, 'grown')).length === 1);

  const load = Load.start(demo.url(), { rate: 100, websockets: 0, events: 0 });
  for (const size of [5, 1]) {
    await local.getByRole('button', { name: 'Size and host names' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Instances').fill(String(size));
    await dialog.getByRole('button', { name: 'Save' }).click();
    await expect(dialog).toBeHidden();
    await until(`${size} are there`, 30, async () => (await of(pilothouse, 'grown')).length === size);
    await expect(local.getByText(`${size}/${size}`).first()).toBeVisible({ timeout: 15_000 });
  }
  const report = await load.stop();
  expect({ failed: report.failed, why: report.failures.slice(0, 5) }).toEqual({ failed: 0, why: [] });
});

test('stopped it answers 503 and says by whom, and a start brings the same pair back', async ({ pilothouse, page, accessible }) => {
  const ana = await Person.admin(pilothouse);
  await byHand(ana, false);
  const demo = await Demo.add(pilothouse, ana, 'paused');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/paused');
  await hydrated(page);
  const local = page.locator('li.placement').first();

  await local.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await expect(local.getByText(/stopped by Ana/)).toBeVisible();
  await until('nothing runs', 20, async () => (await of(pilothouse, 'paused')).length === 0);
  expect(await demo.get('/version')).toContain('Nothing is live');
  await page.goto('/');
  await expect(page.getByText(/stopped by Ana/)).toBeVisible();
  await accessible(page);

  await page.goto('/projects/demo/services/paused');
  await hydrated(page);
  await local.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  await page.waitForURL(/\/rollouts\//);
  await demo.ends(page.url().split('/').at(-1)!);
  expect(await demo.get('/version')).toContain('1.0.0');
});

test('a release goes to the next environment by a page that shows what changes', async ({ pilothouse, page, accessible }) => {
  const ana = await Person.admin(pilothouse);
  await byHand(ana, false);
  const demo = await Demo.add(pilothouse, ana, 'onward');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/onward');
  await hydrated(page);

  await page.getByRole('link', { name: 'Bring 1.0.0 here' }).first().click();
  await expect(page).toHaveURL(/\/projects\/demo\/services\/onward\/promote\/staging/);
  await expect(page.getByRole('heading', { name: 'Bring 1.0.0 to staging' })).toBeVisible();
  await expect(page.getByText('It is live in local.')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Settings and limits' })).toBeVisible();
  await accessible(page);
  await page.getByRole('button', { name: 'Deploy 1.0.0' }).click();
  await page.waitForURL(/\/rollouts\//);
  await demo.ends(page.url().split('/').at(-1)!);
  expect((await demo.cell('staging')).live?.release.name).toBe('1.0.0');
});

test('a change by hand is on the board within five seconds and put back by a rollout; then it is removed', async ({ pilothouse, page }) => {
  test.setTimeout(90_000);
  const ana = await Person.admin(pilothouse);
  await byHand(ana, false);
  const demo = await Demo.add(pilothouse, ana, 'drifts');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  await ana.enters(page.context());
  await page.goto('/');
  await hydrated(page);
  const [id] = await of(pilothouse, 'drifts');
  const row = page.getByRole('row').filter({ hasText: 'drifts' });

  const changed = Date.now();
  await run('docker', ['container', 'update', '--memory', '48m', '--memory-swap', '48m', id]);
  const told = row.locator('.flag', { hasText: /was changed by hand: its memory limit is 48 MiB/ });
  await expect(told).toBeVisible({ timeout: 5000 });
  const removed = Date.now();
  await row.getByRole('button', { name: 'Put it back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Put it back' }).click();
  await page.waitForURL(/\/rollouts\//);
  await demo.ends(page.url().split('/').at(-1)!);
  await until('nothing differs', 10, async () => (await demo.cell()).drift === null);
  console.log(`a change by hand was on the board after ${removed - changed} ms`);

  await page.goto('/projects/demo/services/drifts');
  await hydrated(page);
  await page.locator('li.placement').first().getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await page.waitForURL(/\/rollouts\//);
  const removal = page.url().split('/').at(-1)!;
  await demo.ends(removal);
  expect(await demo.phases(removal)).toEqual(['preflight', 'switching', 'draining', 'cleaning_up', 'succeeded']);
  expect(await of(pilothouse, 'drifts')).toHaveLength(0);
  expect(await demo.get('/version')).toContain('Unknown host name');
  await page.goto('/projects/demo/services/drifts');
  await hydrated(page);
  await page.getByRole('button', { name: 'Place it in local' }).click();
  await expect(page.getByRole('heading', { name: 'local', exact: true, level: 2 })).toBeVisible();
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v2)));
});

test('an instance that is killed for memory is a row with its reason', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  await byHand(ana, false);
  const demo = await Demo.add(pilothouse, ana, 'hungry', { memory_mib: '32' });
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));

  await demo.get('/eat?mib=64').catch(() => 'it died before it could answer');

  await until('it is told', 20, async () => (await told(ana, 'hungry')).some((row) => row.includes('was killed for memory (limit 32 MiB) and was started again')));
});
