// What a new user does first, from the link that the program printed to the rollback: all of it in
// the browser, by what can be read on the screen.

import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { makeImages, IMAGES } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { PROGRAMS, run } from '../support/machine.ts';
import { PASSWORD } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

// Observed long enough for a person, and a test, to look at both slots.
const POLICY = 'passes=1,observe_for=6s,drain_for=2s,warm_for=120s,verify_within=20s';
test.use({ settings: [{ PILOTHOUSE_POLICY: POLICY }, { scope: 'worker' }], fresh: ['first-day', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

/** Marks the page, so that one that was loaded again can be told from one that was not. */
const mark = (page: Page) => page.evaluate(() => Reflect.set(window, 'theSamePage', true));
const isTheSamePage = (page: Page) => page.evaluate(() => Reflect.get(window, 'theSamePage') === true);

/** From the service's page to the release's. */
async function makesRelease(page: Page, image: string, name: string): Promise<void> {
  await page.getByRole('link', { name: /^(New release|Make the first release)$/ }).first().click();
  await page.getByLabel('Image', { exact: true }).fill(image);
  await page.getByRole('button', { name: 'Look it up' }).click();
  await makesItNow(page, name);
}

async function makesItNow(page: Page, name: string): Promise<void> {
  await expect(page.getByText('linux/')).toBeVisible();
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue(name);
  await page.getByRole('button', { name: 'Make release' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(name);
}

test('a new user comes from the first link to the rollback', async ({ pilothouse, page, another, accessible }, testInfo) => {
  test.setTimeout(180_000);
  const looksGood = async (name: string, of = page) => {
    await accessible(of);
    await testInfo.attach(name, { body: await of.screenshot({ fullPage: true }), contentType: 'image/png' });
  };

  await test.step('the first admin is made with the one-time link', async () => {
    await page.goto(pilothouse.firstAdminLink());
    await hydrated(page);
    await looksGood('first-admin');
    await page.getByLabel('Name').fill('Ana');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password again').fill(PASSWORD);
    await page.getByRole('button', { name: 'Make the first admin' }).click();
    await expect(page.getByRole('heading', { name: 'Bring your first service here' })).toBeVisible();
    await looksGood('board-empty');
  });

  await test.step('the empty board leads to a service', async () => {
    await page.getByRole('link', { name: 'Add a service' }).click();
    await expect(page.getByRole('heading', { name: 'New service' })).toBeVisible();
    await page.getByLabel('Project').fill('shop');
    await page.getByLabel('Name', { exact: true }).fill('hello');
    await expect(page.getByText('hello.shop.local.localhost')).toBeVisible();
    await page.getByLabel('Image').fill(IMAGES.v1);
    await page.getByLabel('Port').fill('8080');
    await page.getByText('More: checks').click();
    await page.getByLabel('Path of the check').fill('/health');
    await page.getByLabel('Field that names the version').fill('version');
    await page.getByLabel('Time to start').fill('4');
    await looksGood('new-service');
    await page.getByRole('button', { name: 'Add service' }).click();
  });

  await test.step('its image is looked up, and is made a release', async () => {
    await expect(page.getByText('linux/')).toBeVisible();
    await looksGood('new-release');
    await makesItNow(page, '1.0.0');
    await looksGood('release');
  });

  await test.step('the release is deployed to local, and the page shows it go live by itself', async () => {
    await page.getByRole('listitem').filter({ hasText: 'local' }).getByRole('button', { name: 'Deploy 1.0.0' }).click();
    await page.waitForURL(/\/rollouts\//);
    await mark(page);
    await expect(page.getByText('1.0.0 is live in local')).toBeVisible({ timeout: 40_000 });
    expect(await isTheSamePage(page)).toBe(true);
    await looksGood('rollout-first');
  });

  let address = '';
  await test.step('the service answers at the address that the page names', async () => {
    const link = page.getByRole('link', { name: 'open it' });
    address = (await link.getAttribute('href')) ?? '';
    const [service] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
    await expect(service.locator('body')).toContainText('1.0.0');
    await service.close();
  });

  const load = Load.start(address, { rate: 100, seconds: 120 });
  await test.step('a second release comes under load, and both slots are seen live', async () => {
    await page.getByRole('link', { name: 'hello', exact: true }).click();
    await makesRelease(page, IMAGES.v2, '2.0.0');
    // Nothing is warm yet, so one click does it.
    await page.getByRole('listitem').filter({ hasText: 'local' }).getByRole('button', { name: 'Deploy 2.0.0' }).click();
    await page.waitForURL(/\/rollouts\//);
    await mark(page);
    await expect(page.locator('[aria-current=step]')).toContainText('observing', { timeout: 30_000 });
    for (const slot of ['blue', 'green']) {
      const card = page.getByRole('region', { name: slot, exact: true });
      await expect(card.getByRole('cell', { name: 'ready' })).toBeVisible();
      await expect(card.getByRole('cell').nth(3)).toHaveText(/\d.*[KM]iB|\d.*MB|\d.*kB/);
    }
    await expect(page.getByText(/^live, \d/)).toBeVisible();
    await looksGood('rollout-observing');
    await expect(page.getByText('2.0.0 is live in local')).toBeVisible({ timeout: 40_000 });
    await expect(page.getByRole('region', { name: 'Evidence' })).toContainText(/\D0 of [1-9]/);
    expect(await isTheSamePage(page)).toBe(true);
  });

  await test.step('one click and a yes bring the old version back', async () => {
    await page.getByRole('button', { name: 'Roll back', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('1.0.0 is up and warm');
    await looksGood('roll-back-asked');
    await dialog.getByLabel('Reason').fill('it was only a try');
    await dialog.getByRole('button', { name: 'Roll back to 1.0.0' }).click();
    await expect(page.getByText('1.0.0 is live in local')).toBeVisible({ timeout: 40_000 });
    await expect(page.getByRole('region', { name: 'Evidence' })).toContainText(/\D0 of [1-9]/);
    await looksGood('rolled-back');
  });

  const report = await load.stop();
  expect([report.failed, report.failures.slice(0, 3), report.websockets.cut, report.events.cut]).toEqual([0, [], 0, 0]);
  expect(Object.keys(report.versions).sort()).toEqual(['1.0.0', '2.0.0']);

  await test.step('all of it is in the history, which is whole', async () => {
    await page.getByRole('link', { name: 'History', exact: true }).click();
    const rows = page.getByRole('list', { name: 'Rows, newest first' }).getByRole('listitem');
    await expect(rows.first()).toBeVisible();
    for (const [what, release] of [['first', '1.0.0'], ['second', '2.0.0']]) {
      await expect(rows.filter({ hasText: release }).first(), `${what} release`).toBeVisible();
    }
    await expect(rows.filter({ hasText: 'Ana' }).filter({ hasText: 'first admin' }).first()).toBeVisible();
    const asked = rows.filter({ hasText: 'Ana' }).filter({ hasText: /roll/i }).first();
    await asked.locator('summary').click();
    await expect(asked.getByText('it was only a try')).toBeVisible();
    await looksGood('history');
    await page.getByRole('button', { name: 'Verify now' }).click();
    await expect(page.getByText(/^Whole up to row \d+/)).toBeVisible();

    for (const [name, first] of [['CSV', /^\uFEFFnumber,/], ['JSON Lines', /^\{.*\}\n/]] as const) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()]);
      const path = await download.path();
      const text = await readFile(path, 'utf8');
      expect(text).toMatch(first);
      expect(text).toContain('it was only a try');
      if (name === 'JSON Lines') {
        expect(await run(PROGRAMS.console, ['history', 'verify', '--file', path])).toMatch(/^whole: \d+ rows/);
      }
    }
    expect(await run(PROGRAMS.console, ['history', 'verify', '--data-dir', pilothouse.data])).toMatch(/^whole: \d+ rows/);
  });

  await test.step('the board shows to another, who signs in, what is live', async () => {
    const other = await another();
    await other.goto('/');
    await expect(other.getByRole('heading', { name: 'Sign in' })).toBeVisible();
    await hydrated(other);
    await other.getByLabel('Name').fill('Ana');
    await other.getByLabel('Password').fill(PASSWORD);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await expect(other.getByRole('row').filter({ hasText: 'hello' })).toContainText('1.0.0');
    await looksGood('board', other);
  });
});
