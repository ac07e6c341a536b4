// Every page as it looks and is used: wide and narrow, dark and light, by keyboard, without scripts.

import type { Page } from '@playwright/test';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }], fresh: ['pages', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

const WIDTHS = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

/** A place and a word that must be on it. */
type Place = [name: string, path: string, word: string];

/** Walks the page with Tab: each control is reached, in turn, and can be seen to be. */
async function reachedByTab(page: Page, name: string): Promise<void> {
  await page.setViewportSize(WIDTHS.wide);
  const controls = await page.evaluate(() => {
    const all = document.querySelectorAll<HTMLElement>('a[href], button, input, select, textarea, summary');
    const seen = [...all].filter((one) => {
      const off = one.matches(':disabled, [tabindex="-1"], input[type=hidden], dialog:not([open]) *');
      // Of a group of radio buttons Tab goes to the chosen one.
      const other = one.matches('input[type=radio]:not(:checked)');
      return !off && !other && one.checkVisibility({ visibilityProperty: true });
    });
    seen.forEach((one, at) => one.setAttribute('data-control', String(at)));
    (document.activeElement as HTMLElement | null)?.blur();
    return seen.map((one) => (one.getAttribute('aria-label') ?? one.textContent ?? '').trim() || one.getAttribute('name') || one.tagName);
  });
  const reached = new Set<number>();
  const unseen: string[] = [];
  for (let press = 0; press < controls.length + 3 && reached.size < controls.length; press++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const here = document.activeElement as HTMLElement;
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(here);
      const shown = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none';
      return { control: here.getAttribute('data-control'), shown };
    });
    if (at.control === null) continue;
    reached.add(Number(at.control));
    if (!at.shown) unseen.push(controls[Number(at.control)]);
  }
  const missed = controls.filter((_, at) => !reached.has(at));
  expect({ missed, unseen }, `by keyboard on ${name}`).toEqual({ missed: [], unseen: [] });
}

async function checkAll(page: Page, looksGood: (page: Page, name: string) => Promise<void>, places: Place[]): Promise<void> {
  for (const [name, path, word] of places) {
    await test.step(name, async () => {
      await page.goto(path);
      await hydrated(page);
      await expect(page.locator('main')).toContainText(word);
      await looksGood(page, name);
      await reachedByTab(page, name);
    });
  }
}

test('pages that nobody has filled yet', async ({ pilothouse, page, consoleWatch, looksGood }) => {
  test.setTimeout(120_000);
  consoleWatch.expect(/status of 404/);
  const first = new URL(pilothouse.firstAdminLink());
  await checkAll(page, looksGood, [
    ['first-admin', first.pathname + first.search, 'The first admin'],
    ['first-admin-without-token', '/first-admin', 'one-time token'],
    ['invitation-without-token', '/invitation', 'no invitation of this console'],
    ['sign-in', '/sign-in', 'Sign in'],
  ]);
  const ana = await Person.admin(pilothouse);
  await ana.enters(page.context());
  await checkAll(page, looksGood, [
    ['board-empty', '/', 'Bring your first service here'],
    ['history-new', '/history', 'Ana'],
    ['history-nothing', '/history?service=nothing', 'No rows'],
    ['environments-empty', '/environments', 'no services yet'],
    ['people-alone', '/people', 'Add a person'],
    ['access-alone', '/access', 'may do everything'],
    ['invitations-none', '/people/invitations', 'Nobody is invited'],
    ['not-found', '/nowhere', 'board'],
  ]);
  await Demo.add(pilothouse, ana, 'fresh');
  await checkAll(page, looksGood, [
    ['board-without-release', '/', 'Make its first release'],
    ['service-empty', '/projects/demo/services/fresh', 'This service has no release yet'],
    ['new-release-empty', '/projects/demo/services/fresh/releases/new', 'The image'],
  ]);
});

/** Made by the test that comes first, for this worker's installation. */
let made: ReturnType<typeof fill> | undefined;
const filled = (pilothouse: Pilothouse) => (made ??= fill(pilothouse));

/** A service with two releases, one after the other live, and a failed third. */
async function fill(pilothouse: Pilothouse) {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'filled');
  const v1 = await demo.release(IMAGES.v1);
  const v2 = await demo.release(IMAGES.v2);
  const past = await demo.deploys(v1);
  await demo.ends(past);
  const rollout = await demo.deploys(v2);
  await demo.ends(rollout);
  const bad = await demo.deploys(await demo.release(IMAGES.liar));
  await demo.ends(bad, 'failed');
  return { ana, demo, v1, v2, past, rollout, bad, home: '/projects/demo/services/filled' };
}

test('pages with something on them', async ({ pilothouse, page, looksGood }) => {
  test.setTimeout(180_000);
  const { ana, demo, v1, past, rollout, bad, home } = await filled(pilothouse);
  await ana.adds('Bo Who Has A Rather Long Name', 'releaser');
  const placement = (await demo.cell()).placement;
  await ana.call('services/change-configuration', {
    ...{ placement, based_on: '1', cpu: '1', memory_mib: '64', pids: '64' },
    variables: `GREETING=hello\nA_RATHER_LONG_NAME=${'a-rather-long-value-'.repeat(8)}`,
  });
  const inquiry = await ana.call<string>('releases/look-up-image', { service: demo.service, reference: IMAGES.v2 });
  await until('it is looked up', 20, async () => {
    const { answer } = await ana.call<{ answer: { is: string } }>('releases/inquiry', { id: inquiry });
    return answer.is === 'image';
  });
  await ana.enters(page.context());
  await checkAll(page, looksGood, [
    ['board', '/', '2.0.0'],
    ['new-service', '/services/new', 'New service'],
    ['service', home, 'GREETING'],
    ['service-edit', `${home}/edit`, 'Touches the next release'],
    ['new-release', `${home}/releases/new?inquiry=${inquiry}`, 'linux/'],
    ['release', `/releases/${v1}`, 'Where it can go'],
    ['rollout-good', `/rollouts/${rollout}`, 'is live in local'],
    ['rollout-past', `/rollouts/${past}`, '1.0.0 was live in local'],
    ['rollout-bad', `/rollouts/${bad}`, 'failed'],
    ['history', '/history', 'Ana'],
    ['people', '/people', 'Bo Who Has'],
    ['access', '/access', 'may roll out'],
    ['environments', '/environments', 'Deploying needs'],
    ['environment', '/environments/production', 'Edit the policy'],
    ['projects', '/projects', 'filled'],
    ['project', '/projects/demo', 'filled'],
    ['search', '/search?q=filled', 'Deploy filled'],
    ['account', '/account', 'Where you are signed in'],
  ]);

  await test.step('a dialog holds the focus, looks good, and goes with Escape', async () => {
    await page.goto(home);
    await hydrated(page);
    const opens = page.getByRole('listitem', { name: 'local' }).getByRole('button', { name: 'Deploy another release' });
    await opens.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await expect(dialog).toBeVisible();
    await looksGood(page, 'dialog');
    for (let press = 0; press < 12; press++) {
      await page.keyboard.press('Tab');
      const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest('dialog'));
      expect(inside, `after Tab ${press + 1}`).toBe(true);
    }
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
    await expect(opens).toBeFocused();
  });

  await test.step('the keyboard goes along to the page that a link leads to', async () => {
    await page.getByRole('main').getByRole('link', { name: 'New release' }).press('Enter');
    await expect(page.getByRole('heading', { name: 'New release of filled' })).toBeVisible();
    await expect(page.getByRole('main')).toBeFocused();
    await page.keyboard.press('Tab');
    await expect(page.getByRole('main').getByRole('link').first()).toBeFocused();
  });
});

test('without scripts every page shows its data, and one deploys and rolls back', async ({ pilothouse, another, consoleWatch }) => {
  test.setTimeout(120_000);
  // Nobody uses what is laid ready for scripts.
  consoleWatch.expect(/preloaded using link preload but not used/);
  const { ana, demo, v2, rollout, bad, home } = await filled(pilothouse);
  const page = await another({ javaScriptEnabled: false });
  await ana.enters(page.context());
  for (const [path, words] of [
    ['/', ['filled', '2.0.0', 'local', 'staging', 'production']],
    ['/services/new', ['New service']],
    [home, ['1.0.0', '2.0.0', 'Deploy another release', 'failed']],
    [`${home}/edit`, ['Path of the check']],
    [`${home}/releases/new`, ['The image']],
    [`/releases/${v2}`, ['live in local', 'linux/', 'Settings it carries']],
    [`/rollouts/${rollout}`, ['1.0.0 → 2.0.0', 'switching', 'is live in local']],
    [`/rollouts/${bad}`, ['failed', 'It never got traffic']],
    ['/history', ['Ana', '2.0.0']],
    ['/people', ['Ana', 'Add a person']],
    ['/environments', ['production', 'Deploying needs']],
    ['/environments/production', ['protected', 'Edit the policy']],
    ['/projects/demo', ['filled', '2.0.0', 'Who may do what here']],
    ['/search?q=filled', ['filled', 'service']],
    ['/account', ['Ana', 'this one']],
  ] as const) {
    await page.goto(path);
    for (const word of words) await expect(page.locator('main'), path).toContainText(word);
  }

  const sees = async (word: string | RegExp) => {
    await until(`${word} is on ${page.url()}`, 40, async () => {
      await page.reload();
      return page.getByText(word).first().isVisible();
    });
  };
  await page.goto(home);
  const local = page.getByRole('listitem', { name: 'local' });
  await local.getByRole('button', { name: 'Deploy another release' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Release').selectOption({ label: '1.0.0' });
  await dialog.getByLabel('Reason').fill('by hand, without scripts');
  await dialog.getByRole('button', { name: 'Deploy', exact: true }).click();
  await expect(page).toHaveURL(/\/rollouts\//);
  await sees('1.0.0 is live in local');
  await page.getByRole('button', { name: 'Roll back', exact: true }).click();
  const before = page.url();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back to 2.0.0' }).click();
  // A reload would take the post's place.
  await expect(page).not.toHaveURL(before);
  await sees('2.0.0 is live in local');
  expect((await demo.cell()).live?.release.name).toBe('2.0.0');
  // Dark and light are forms as well.
  await page.goto('/account');
  await page.getByRole('button', { name: 'Dark', exact: true }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/sign-in/);
});
