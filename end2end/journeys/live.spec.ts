// What one sees is of now, or says that it is not.

import { Demo, GOOD, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { Person } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

const POLICY = QUICK.PILOTHOUSE_POLICY.replace('observe_for=2s', 'observe_for=6s');
test.use({ settings: [{ PILOTHOUSE_POLICY: POLICY }, { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

test('a lost connection shows at once, and comes back without a gap', async ({ pilothouse, page, consoleWatch }) => {
  // While nobody listens the browser itself says so.
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live/);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'lost');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const rollout = await demo.deploys(await demo.release(IMAGES.v2));
  await ana.enters(page.context());
  await page.goto(`/rollouts/${rollout}`);
  await hydrated(page);
  await page.evaluate(() => Reflect.set(window, 'theSamePage', true));
  const freshness = page.getByRole('banner').getByText(/^(live|reconnecting|connecting)/);
  await expect(freshness).toHaveText(/^live, \d/);
  await demo.reaches(rollout, 'observing');

  await pilothouse.stopConsole('SIGKILL');

  await expect(freshness).toHaveText('reconnecting…', { timeout: 2_000 });
  await pilothouse.startConsole();
  await expect(freshness).toHaveText(/^live, \d/, { timeout: 15_000 });
  await expect(page.getByText('2.0.0 is live in local')).toBeVisible({ timeout: 30_000 });
  expect(await page.evaluate(() => Reflect.get(window, 'theSamePage'))).toBe(true);
  // Nothing is missing: each phase is an event of the page, as in the history, and once.
  expect(await demo.phases(rollout)).toEqual(GOOD);
  const events = page.getByRole('heading', { name: 'Events' }).locator('xpath=ancestor::section[1]').getByRole('listitem');
  await expect(events).toHaveCount((await demo.rollout(rollout)).rows.length);
});

test('two people see the same, without asking again', async ({ pilothouse, page, another }) => {
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'viewer');
  const demo = await Demo.add(pilothouse, ana, 'shared');
  const release = await demo.release(IMAGES.v1);
  const [first, second, third] = [page, await another(), await another()];
  await ana.enters(first.context());
  await ana.enters(second.context());
  await bo.enters(third.context());
  const rows = await Promise.all(
    [first, second, third].map(async (at) => {
      await at.goto('/');
      await hydrated(at);
      const row = at.getByRole('row').filter({ hasText: 'shared' });
      await expect(row).toContainText('not deployed');
      await expect(at.getByRole('banner').getByText(/^live/)).toBeVisible();
      return row;
    }),
  );

  // Clicked by the first, who is led to the rollout; seen by the others where they are.
  await rows[0].getByRole('cell').first().getByRole('button', { name: 'Deploy 1.0.0' }).click();

  for (const row of rows.slice(1)) {
    await expect(row).toContainText(/preflight|preparing|verifying|switching|observing/, { timeout: 5_000 });
  }
  await expect(first.getByText('1.0.0 is live in local')).toBeVisible({ timeout: 30_000 });
  for (const row of rows.slice(1)) {
    const local = row.getByRole('cell').first();
    await expect(local).toContainText('blue');
    await expect(local).not.toContainText(/verifying|observing|draining/);
  }
  const cell = await demo.cell();
  expect(cell.live?.release.id).toBe(release);
});

test('what is typed in a dialog stays while the page hears of news, which are there when it is closed', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'typed');
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(v1));
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/typed');
  await hydrated(page);
  await expect(page.getByRole('banner').getByText(/^live/)).toBeVisible();
  const local = page.getByRole('listitem', { name: 'local' });
  await local.getByRole('button', { name: 'Deploy another release' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Release').selectOption({ label: '1.0.0, live now' });
  await dialog.getByLabel('Reason').fill('half a reas');

  await demo.ends(await demo.deploys(v2));

  await expect(dialog).toBeVisible();
  await expect(dialog.getByLabel('Release').locator('option:checked')).toHaveText('1.0.0, live now');
  await expect(dialog.getByLabel('Reason')).toHaveValue('half a reas');
  await expect(local.locator('.now')).toContainText('1.0.0');
  await page.keyboard.press('Escape');
  await expect(local.locator('.now')).toContainText('2.0.0');
});

test('a hidden tab lets go of its stream, and goes on where it was', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'hidden');
  await ana.enters(page.context());
  await page.clock.install();
  const hide = (hidden: boolean) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, hidden);
  await page.goto('/');
  await hydrated(page);
  const freshness = page.getByRole('banner').getByText(/^live/);
  await expect(freshness).toBeVisible();

  await hide(true);
  await page.clock.fastForward(31_000);
  await expect(freshness).toBeHidden();
  await demo.release(IMAGES.v1);
  await hide(false);

  await expect(freshness).toBeVisible();
  await expect(page.getByRole('row').filter({ hasText: 'hidden' }).getByRole('button', { name: 'Deploy 1.0.0' }).first()).toBeVisible();
});

test('what is drawn lives on while something newer is on its way', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'slowly');
  const first = await demo.deploys(await demo.release(IMAGES.v1));
  await demo.ends(first);
  await ana.enters(page.context());
  await page.goto(`/rollouts/${first}`);
  await hydrated(page);
  // Each answer is late, so that what happens meanwhile happens to what is drawn.
  let asked = 0;
  await page.route('**/api/rollouts/page', async (route) => {
    asked += 1;
    await new Promise((late) => setTimeout(late, 1500));
    await route.continue();
  });
  const load = Load.start(demo.url(), { rate: 20, websockets: 0, events: 0 });
  const second = await demo.deploys(await demo.release(IMAGES.v2));
  await demo.ends(second);
  await page.evaluate((to) => {
    const link = Object.assign(document.createElement('a'), { href: to });
    document.body.append(link);
    link.click();
  }, `/rollouts/${second}`);
  await demo.ends(await demo.rollsBack());
  await expect(page.getByRole('heading', { level: 1 })).toContainText('2.0.0');
  await load.stop();
  expect(asked).toBeGreaterThan(2);
  expect(await page.evaluate(() => document.body.dataset.hydrated !== undefined)).toBe(true);
});
