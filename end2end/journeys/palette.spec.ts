// Going anywhere by keyboard, keys that lead somewhere, the pages of a project and of an environment,
// and a phone: what a release manager does by touch.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import { Demo, IMAGES, makeImages } from '../support/demo.ts';
import { Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({
  // Observed for long enough to be rolled back by a thumb.
  settings: [{ PILOTHOUSE_POLICY: 'passes=1,observe_for=25s,drain_for=1s,warm_for=120s,verify_within=12s' }, { scope: 'worker' }],
  fresh: ['palette', { scope: 'worker' }],
});

test.beforeAll(async () => makeImages());

/** Made by the test that comes first, for this worker's installation. */
let made: ReturnType<typeof fill> | undefined;
const filled = (pilothouse: Pilothouse) => (made ??= fill(pilothouse));

/** One service is live and a second release of it is being observed; another waits for its first. */
async function fill(pilothouse: Pilothouse) {
  const ana = await Person.admin(pilothouse);
  const vera = await ana.adds('Vera', 'viewer');
  const api = await Demo.add(pilothouse, ana, 'api');
  const web = await Demo.add(pilothouse, ana, 'web');
  const [v1, v2] = [await api.release(IMAGES.v1), await api.release(IMAGES.v2)];
  await web.release(IMAGES.v1);
  const first = await api.deploys(v1);
  return { ana, vera, api, web, v1, v2, first };
}

const palette = (page: Page): Locator => page.getByRole('dialog', { name: 'Go to or do something' });
const chosen = (page: Page): Locator => palette(page).getByRole('option', { selected: true });

async function opens(page: Page, words: string): Promise<void> {
  await page.keyboard.press('ControlOrMeta+k');
  await expect(palette(page).getByRole('combobox')).toBeFocused();
  await page.keyboard.type(words);
}

test('by keyboard one gets anywhere, and what one does is confirmed where it is done', async ({ pilothouse, page, accessible, another }) => {
  const { ana, vera, api, first } = await filled(pilothouse);
  await api.reaches(first, 'observing');
  await ana.enters(page.context());
  await page.goto('/');
  await hydrated(page);

  await test.step('what runs is first, then what was seen last', async () => {
    await page.goto('/history');
    await hydrated(page);
    await page.goto('/environments/staging');
    await hydrated(page);
    await opens(page, '');
    const options = palette(page).getByRole('option');
    await expect(options.first()).toContainText('api 1.0.0 in local');
    await expect(options.first()).toContainText('running rollout');
    await expect(options.nth(1)).toContainText('staging');
    await expect(options.nth(2)).toContainText('History');
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme });
      await accessible(page);
    }
    for (let press = 0; press < 6; press++) {
      await page.keyboard.press('Tab');
      const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest('dialog'));
      expect(inside, `after Tab ${press + 1}`).toBe(true);
    }
    await page.keyboard.press('Escape');
    await expect(palette(page)).toBeHidden();
  });

  await test.step('the focus goes back to where it was', async () => {
    const button = page.getByRole('button', { name: 'Go to or do something' });
    await button.focus();
    await page.keyboard.press('Enter');
    await expect(palette(page).getByRole('combobox')).toBeFocused();
    await page.keyboard.press('Escape');
    await expect(button).toBeFocused();
  });

  await test.step('arrows choose, Enter goes, and letters may be left out', async () => {
    await opens(page, 'prdctn');
    await expect(chosen(page)).toContainText('production');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    await expect(chosen(page)).toContainText('production');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/\/environments\/production$/);
    await expect(page.getByRole('heading', { name: 'production', level: 1 })).toBeVisible();
    await opens(page, 'nothing is called like this');
    await expect(palette(page).getByText('Nothing that you may see')).toBeVisible();
    await page.keyboard.press('Escape');
  });

  await test.step('an act goes to its dialog and is done by nothing less', async () => {
    await opens(page, 'deploy web staging');
    await expect(chosen(page)).toContainText('Deploy web to staging');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Deploy web to staging' });
    await expect(dialog).toBeVisible();
    await accessible(page);
    const before = await api.page();
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
    // Asked again it opens again; a reload does not ask.
    await expect(page).toHaveURL(/\/services\/web$/);
    await opens(page, 'deploy web staging');
    await page.keyboard.press('Enter');
    await expect(dialog).toBeVisible();
    await page.keyboard.press('Escape');
    expect((await api.page()).placements).toHaveLength(before.placements.length);
    const { placements } = await ana.call<{ placements: { cell: { newest: string | null } }[] }>('services/page', { project: 'demo', service: 'web' });
    expect(placements.map(({ cell }) => cell.newest)).toEqual([null, null, null]);
  });

  await test.step('who may see only is offered no act', async () => {
    const hers = await another();
    await vera.enters(hers.context());
    await hers.goto('/');
    await hydrated(hers);
    await opens(hers, 'deploy');
    await expect(palette(hers).getByText('Nothing that you may see')).toBeVisible();
    await hers.keyboard.press('ControlOrMeta+a');
    await hers.keyboard.type('People');
    await expect(palette(hers).getByRole('option', { name: /^People/ })).toHaveCount(0);
    await hers.keyboard.press('ControlOrMeta+a');
    await hers.keyboard.type('web');
    await palette(hers).getByRole('option').first().click();
    await expect(hers).toHaveURL(/\/services\/web$/);
  });

  await test.step('without scripts the button leads to a page that finds the same', async () => {
    const plain = await another({ javaScriptEnabled: false });
    await ana.enters(plain.context());
    await plain.goto('/');
    await plain.getByRole('button', { name: 'Go to or do something' }).click();
    await expect(plain).toHaveURL(/\/search/);
    await plain.getByLabel('What').fill('deploy web stag');
    await plain.getByRole('button', { name: 'Search' }).click();
    const result = plain.getByRole('main').getByRole('listitem').first();
    await expect(result).toContainText('Deploy web to staging');
    await result.getByRole('link').click();
    await expect(plain.getByRole('dialog', { name: 'Deploy web to staging' })).toBeVisible();
  });
  expect(await api.cell()).toBeTruthy();
});

test('keys lead to pages, never while one types, and can be turned off', async ({ pilothouse, page, accessible, consoleWatch }) => {
  consoleWatch.expect(/preloaded using link preload but not used/);
  const { ana } = await filled(pilothouse);
  await ana.enters(page.context());
  await page.goto('/');
  await hydrated(page);
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };

  await press('g', 'h');
  await expect(page).toHaveURL(/\/history$/);
  await expect(page.locator('[data-filter]'), 'where there is none yet, it is the palette').toBeVisible();
  await press('/');
  await expect(page.locator('[data-filter]')).toBeFocused();
  await page.getByLabel('Person').first().focus();
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await press('g', 'p');
  await expect(page).toHaveURL(/\/people$/);
  await page.getByLabel('Name').first().focus();
  await press('g', 'b', '?');
  await expect(page).toHaveURL(/\/people$/);
  await expect(page.getByLabel('Name').first()).toHaveValue('gb?');
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());

  await press('?');
  const keys = page.getByRole('dialog', { name: 'Keys' });
  await expect(keys).toContainText('g b');
  await accessible(page);
  await press('g', 'b');
  await expect(page, 'a dialog has its own keys').toHaveURL(/\/people$/);
  await keys.getByRole('link', { name: 'turned off' }).click();
  await expect(page).toHaveURL(/\/account/);
  const kept = page.waitForResponse(/\/api\/shortcuts/);
  await page.getByRole('button', { name: 'Off', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Off', exact: true })).toHaveAttribute('aria-pressed', 'true');
  await kept;
  await page.goto('/');
  await hydrated(page);
  await expect(page.locator('html')).toHaveAttribute('data-shortcuts', 'off');
  await press('g', 'h', '?');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page).toHaveURL(/\/$/);
  await press('ControlOrMeta+k');
  await expect(palette(page)).toBeVisible();
});

test('the policy of an environment is shown as what it changes before it is saved', async ({ pilothouse, page, another, accessible }, testInfo) => {
  const { ana } = await filled(pilothouse);
  const folder = join(testInfo.project.outputDir, 'pages');
  await mkdir(folder, { recursive: true });
  await ana.enters(page.context());
  await page.goto('/environments');
  await hydrated(page);
  await page.getByRole('link', { name: 'Open production' }).click();
  await expect(page.getByRole('heading', { name: 'production', level: 1 })).toBeVisible();
  await page.getByText('Edit the policy').click();
  await page.getByLabel('Observe for').fill('77');
  await expect(page.locator('.would')).toContainText('observe for 77 s');
  await page.getByLabel('Observe for').fill('1');
  await expect(page.getByText('It can not be saved like this')).toBeVisible();
  await page.getByLabel('Observe for').fill('77');
  await accessible(page);
  await page.screenshot({ path: join(folder, 'environment-edit.png'), fullPage: true });
  await page.getByRole('button', { name: 'Save the policy' }).click();
  await expect(page.getByText('The policy was saved')).toBeVisible();
  await expect(page.locator('.words')).toContainText('Is observed for 77 s');

  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Projects' }).click();
  await page.getByRole('main').getByRole('link', { name: 'demo' }).click();
  await expect(page.getByRole('table').getByRole('link', { name: 'api' })).toBeVisible();
  await page.getByRole('link', { name: 'Who may do what here' }).click();
  await expect(page.getByText('The most that each may do with demo.')).toBeVisible();
  await page.goBack();
  await page.getByRole('link', { name: 'Add a service' }).click();
  await expect(page.getByLabel('Project')).toHaveValue('demo');

  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await plain.goto('/environments/staging');
  await plain.getByText('Edit the policy').click();
  await plain.getByLabel('Drain for').fill('9');
  await plain.getByRole('button', { name: 'Show what it changes' }).click();
  await expect(plain.locator('.would')).toContainText('drain for 9 s');
  await plain.getByRole('button', { name: 'Save the policy' }).click();
  await expect(plain.locator('.words')).toContainText('has 9 s to finish');
});

test('of two who edit where a service runs the second is told what was kept', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of 409/);
  const { ana } = await filled(pilothouse);
  const bo = await ana.adds('Bo', 'releaser');
  const open = async (as: Person, on: Page) => {
    await as.enters(on.context());
    await on.goto('/projects/demo/services/web');
    if (await on.evaluate(() => true).catch(() => false)) await hydrated(on);
    await on.getByRole('listitem', { name: 'staging' }).getByRole('button', { name: 'Size and host names' }).click();
    return on.getByRole('dialog');
  };
  const first = await open(ana, page);
  const second = await open(bo, await another());
  await first.getByLabel('Instances').fill('3');
  await first.getByRole('button', { name: 'Save' }).click();
  await expect(first).toBeHidden();
  await second.getByLabel('Instances').fill('2');
  await second.getByRole('button', { name: 'Save' }).click();
  await expect(second.getByRole('alert')).toContainText('3 instances');
  await expect(second.getByLabel('Instances')).toHaveValue('2');
});

test('on a phone one finds, aborts and rolls back by touch, and an open dialog says what changed', async ({ pilothouse, another, accessible }, testInfo) => {
  test.setTimeout(90_000);
  const { ana, api, v1, v2, first } = await filled(pilothouse);
  await api.ends(first, 'succeeded', 60);
  const folder = join(testInfo.project.outputDir, 'pages');
  await mkdir(folder, { recursive: true });
  const phone = await another({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await ana.enters(phone.context());
  const big = async (what: Locator) => {
    const box = await what.boundingBox();
    expect(Math.min(box?.width ?? 0, box?.height ?? 0), `a thumb on ${what}`).toBeGreaterThanOrEqual(44);
  };

  await test.step('abort, while the dialog stays open over the switch', async () => {
    await phone.goto('/');
    await hydrated(phone);
    const rollout = await api.deploys(v2);
    const cell = phone.locator('td[data-env="local"]').first();
    const abort = cell.getByRole('button', { name: /^(Abort|Roll back)$/ });
    await expect(abort).toBeVisible();
    await big(abort);
    await abort.tap();
    const dialog = phone.getByRole('dialog');
    await expect(dialog).toBeVisible();
    await api.reaches(rollout, 'observing');
    // It was opened before the switch or after it; it is open still and says what would happen now.
    await expect(dialog.getByRole('heading')).toContainText('Roll back');
    await expect(dialog).toContainText('go back to the slot that was live');
    await accessible(phone);
    await phone.screenshot({ path: join(folder, 'phone-dialog.png') });
    const yes = dialog.getByRole('button', { name: 'Roll back', exact: true });
    await big(yes);
    await yes.tap();
    await api.ends(rollout, 'rolled_back');
  });

  await test.step('a service that is observed says which release has the traffic', async () => {
    const rollout = await api.deploys(v2);
    await api.reaches(rollout, 'observing');
    await phone.goto('/projects/demo/services/api');
    await hydrated(phone);
    const local = phone.getByRole('listitem', { name: 'local' });
    await expect(local.locator('p.now')).toContainText('2.0.0');
    await expect(local.locator('p.now')).toContainText('before it 1.0.0');
    await expect(phone.locator('main button.primary:visible')).toHaveCount(1);
  });

  await test.step('roll back on the page of the rollout', async () => {
    const { active } = await api.cell();
    await phone.goto(`/rollouts/${active?.id}`);
    await hydrated(phone);
    const back = phone.getByRole('button', { name: 'Roll back', exact: true }).first();
    await big(back);
    await back.tap();
    await phone.getByRole('dialog').getByRole('button', { name: 'Roll back', exact: true }).tap();
    await api.ends(active!.id, 'rolled_back');
    await expect(phone.getByRole('heading', { name: '2.0.0 was rolled back' })).toBeVisible();
  });

  await test.step('the palette, the new pages, and nothing wider than the window', async () => {
    const search = phone.getByRole('button', { name: 'Go to or do something' });
    await big(search);
    await search.tap();
    await palette(phone).getByRole('combobox').fill('api');
    await big(palette(phone).getByRole('option').first());
    await phone.screenshot({ path: join(folder, 'phone-palette.png') });
    await palette(phone).getByRole('option', { name: /^api demo/ }).tap();
    await expect(phone).toHaveURL(/\/services\/api$/);
    for (const width of [390, 360]) {
      await phone.setViewportSize({ width, height: 800 });
      for (const path of ['/', '/projects', '/projects/demo', '/environments', '/environments/production', '/search?q=api', `/releases/${v1}`]) {
        await phone.goto(path);
        await hydrated(phone);
        const wider = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(wider, `${path} at ${width} px is wider than the window by`).toBe(0);
      }
    }
  });
});
