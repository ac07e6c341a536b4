// Bad input on every form: said while it is typed where the browser can tell, and by the server's
// refusal, with scripts and without. What was typed is kept but for passwords, and nothing is changed.

import type { Locator, Page } from '@playwright/test';
import { sql } from '../support/database.ts';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { until } from '../support/machine.ts';
import { PASSWORD, Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }], fresh: ['forms', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

/** Markup that would run if it were ever anything but text. */
const MARKUP = `</textarea>"><script>alert('run')</script><img src=x onerror=alert(1)>`;

interface Form {
  path: string;
  /** The form, or what it is in. */
  within?: (page: Page) => Locator;
  /** What must be clicked to see it. */
  open?: (page: Page) => Locator;
  /** By label; in the order they are typed. */
  fields: Record<string, string>;
  secrets?: string[];
  /** The label of the field that is wrong. None: no field is, it is the whole. */
  wrong?: string;
  /** What is said about it, and says what to do. */
  says: RegExp;
  /** Whether the browser can tell while it is typed. */
  typed: boolean;
  send: string;
}

/** Everything that a form can change, as one sum. */
const everything = (pilothouse: Pilothouse) =>
  sql(
    pilothouse,
    'postgres',
    ['projects', 'environments', 'services', 'host_names', 'configurations', 'releases', 'rollouts', 'grants']
      .map((table) => `select '${table}', md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${table} t`)
      .concat(`select 'sizes', md5(coalesce(string_agg(id || ' ' || size, '|' order by id), '')) from placements`)
      .concat(`select 'people', md5(string_agg(name || password, '|' order by name)) from users`)
      .join(' union all ')
      .concat(' order by 1'),
  );

async function isRefused(page: Page, form: Form, scripts: boolean): Promise<void> {
  const alerts: string[] = [];
  page.on('dialog', (dialog) => {
    alerts.push(dialog.message());
    void dialog.dismiss();
  });
  await page.goto(form.path);
  if (scripts) await hydrated(page);
  if (form.open) await form.open(page).click();
  const within = form.within?.(page) ?? page.locator('main');
  const field = (label: string) => within.getByLabel(label, { exact: true });
  for (const [label, value] of Object.entries(form.fields)) {
    const at = field(label);
    if ((await at.evaluate((one) => one.tagName)) === 'SELECT') await at.selectOption(value);
    else await at.fill(value);
  }
  const isSaid = async () => {
    if (form.wrong) {
      await expect(field(form.wrong)).toHaveAttribute('aria-invalid', 'true');
      await expect(field(form.wrong)).toHaveAccessibleDescription(form.says);
    } else {
      await expect(within.getByRole('alert').filter({ hasText: form.says })).toBeVisible();
    }
  };
  if (scripts && form.typed) await isSaid();

  await within.getByRole('button', { name: form.send, exact: true }).click();

  await expect(within.getByRole('alert').filter({ hasText: /\S/ }).first()).toBeVisible();
  await isSaid();
  for (const [label, value] of Object.entries(form.fields)) {
    const kept = !form.secrets?.includes(label) ? value : scripts ? value : '';
    await expect(field(label), `“${label}” is kept`).toHaveValue(kept);
  }
  expect(alerts).toEqual([]);
}

/** Both ways, and nothing is another than before. */
async function refused(pilothouse: Pilothouse, pages: { scripts: Page; plain: Page }, form: Form): Promise<void> {
  const before = await everything(pilothouse);
  await isRefused(pages.scripts, form, true);
  await isRefused(pages.plain, form, false);
  expect(await everything(pilothouse)).toBe(before);
}

test('the forms of those who are not signed in', async ({ pilothouse, page, another, consoleWatch }) => {
  // Without scripts nobody uses what is laid ready for them.
  consoleWatch.expect(/status of 4\d\d/, /preloaded using link preload but not used/);
  const pages = { scripts: page, plain: await another({ javaScriptEnabled: false }) };
  const link = new URL(pilothouse.firstAdminLink());
  await test.step('the first admin', () =>
    refused(pilothouse, pages, {
      path: link.pathname + link.search,
      fields: { Name: 'Ana', Password: 'short', 'Password again': 'short' },
      secrets: ['Password', 'Password again'],
      wrong: 'Password',
      says: /at least 12 characters/,
      typed: true,
      send: 'Make the first admin',
    }));
  await test.step('two passwords that differ', () =>
    refused(pilothouse, pages, {
      path: link.pathname + link.search,
      fields: { Name: 'Ana', Password: PASSWORD, 'Password again': `${PASSWORD}!` },
      secrets: ['Password', 'Password again'],
      wrong: 'Password again',
      says: /same|differ|again/i,
      typed: false,
      send: 'Make the first admin',
    }));
  await Person.admin(pilothouse);
  await test.step('sign in', () =>
    refused(pilothouse, pages, {
      path: '/sign-in',
      fields: { Name: 'Ana', Password: 'it is not this one' },
      secrets: ['Password'],
      says: /password/i,
      typed: false,
      send: 'Sign in',
    }));
});

test('the forms of those who are', async ({ pilothouse, page, another, consoleWatch }) => {
  test.setTimeout(180_000);
  // Without scripts nobody uses what is laid ready for them.
  consoleWatch.expect(/status of 4\d\d/, /preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  await ana.adds('Bo', 'viewer');
  const { people } = await ana.call<{ people: { id: string; name: string }[] }>('people/page');
  const boHome = `/people/${people.find((one) => one.name === 'Bo')!.id}`;
  const demo = await Demo.add(pilothouse, ana, 'strict');
  await demo.release(IMAGES.v1);
  const inquiry = await ana.call<string>('releases/look-up-image', { service: demo.service, reference: IMAGES.v2 });
  await until('it is looked up', 20, async () => {
    const { answer } = await ana.call<{ answer: { is: string } }>('releases/inquiry', { id: inquiry });
    return answer.is === 'image';
  });
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(page.context());
  await ana.enters(plain.context());
  const home = '/projects/demo/services/strict';
  const dialog = (page: Page) => page.getByRole('dialog');
  const local = (page: Page) => page.getByRole('listitem', { name: 'local' });

  const forms: Record<string, Form> = {
    'change password': {
      path: '/account',
      within: (page) => page.getByRole('region', { name: 'Password' }),
      fields: { 'Password now': PASSWORD, 'New password': 'short', 'New password again': 'short' },
      secrets: ['Password now', 'New password', 'New password again'],
      wrong: 'New password',
      says: /at least 12 characters/,
      typed: true,
      send: 'Change password',
    },
    'new service': {
      path: '/services/new',
      fields: { Project: 'demo', Name: MARKUP, Image: IMAGES.v1, Port: '8080' },
      wrong: 'Name',
      says: /a-z/,
      typed: true,
      send: 'Add service',
    },
    'new service, a name that is taken': {
      path: '/services/new',
      fields: { Project: 'demo', Name: 'strict', Image: '', Port: '8080' },
      wrong: 'Name',
      says: /strict/,
      typed: false,
      send: 'Add service',
    },
    'edit service': {
      path: `${home}/edit`,
      fields: { Port: '0', 'Path of the check': '/health?a=b', Command: `one\n${MARKUP}` },
      wrong: 'Port',
      says: /1 to 65535/,
      typed: true,
      send: 'Save',
    },
    configuration: {
      path: `${home}/configuration?in=local&show=file`,
      open: (page) => page.getByText('Edit as text'),
      within: (page) => page.locator('details').filter({ hasText: 'Edit as text' }),
      fields: { Variables: `GOOD=${MARKUP}\nnot a line`, Memory: '96' },
      wrong: 'Variables',
      says: /NAME=value/,
      typed: true,
      send: 'Save',
    },
    'instances and host names': {
      path: home,
      open: (page) => local(page).getByRole('button', { name: 'Size and host names' }),
      within: dialog,
      fields: { Instances: '2', 'Host names': 'good.example\nhttp://bad/' },
      wrong: 'Host names',
      says: /\S/,
      typed: true,
      send: 'Save',
    },
    'look up an image': {
      path: `${home}/releases/new`,
      fields: { Image: `UPPER ${MARKUP}` },
      wrong: 'Image',
      says: /\S/,
      typed: true,
      send: 'Look it up',
    },
    'make a release': {
      path: `${home}/releases/new?inquiry=${inquiry}`,
      fields: { Name: 'two words' },
      wrong: 'Name',
      says: /\S/,
      typed: true,
      send: 'Make release',
    },
    'start a rollout': {
      path: home,
      open: (page) => local(page).getByRole('button', { name: 'Deploy', exact: true }),
      within: dialog,
      fields: { Reason: MARKUP.repeat(8) },
      wrong: 'Reason',
      says: /at most 500 characters/,
      typed: true,
      send: 'Deploy',
    },
    policy: {
      path: '/environments/staging',
      open: (page) => page.getByText('Edit the policy'),
      within: (page) => page.locator('.environment'),
      fields: { 'Observe for': 'soon', 'Drain for': '7' },
      wrong: 'Observe for',
      says: /number/,
      typed: true,
      send: 'Save the policy',
    },
    'add a person': {
      path: '/people',
      within: (page) => page.getByRole('region', { name: 'Add a person' }),
      fields: { Name: 'Eve', 'First password': 'short' },
      secrets: ['First password'],
      wrong: 'First password',
      says: /at least 12 characters/,
      typed: true,
      send: 'Add person',
    },
    'add a person who is there': {
      path: '/people',
      within: (page) => page.getByRole('region', { name: 'Add a person' }),
      fields: { Name: 'Bo', 'First password': PASSWORD },
      secrets: ['First password'],
      wrong: 'Name',
      says: /this name already. Choose another/,
      typed: false,
      send: 'Add person',
    },
    'set a password': {
      path: boHome,
      open: (page) => page.getByRole('button', { name: 'Set password' }),
      within: dialog,
      fields: { 'New password': 'short' },
      secrets: ['New password'],
      wrong: 'New password',
      says: /at least 12 characters/,
      typed: true,
      send: 'Set the password',
    },
    'give a role that is given': {
      // As if what it changes had been looked at.
      path: `${boHome}?role=viewer`,
      within: (page) => page.getByRole('region', { name: 'Give a role' }),
      fields: { Project: '', Environment: '' },
      says: /is viewer in everything already/,
      typed: false,
      send: 'Give the role',
    },
    'invite somebody who is there': {
      path: '/people/invitations?role=viewer',
      within: (page) => page.getByRole('region', { name: 'Invite a person' }),
      fields: { Name: 'bo' },
      wrong: 'Name',
      says: /this name already/,
      typed: false,
      send: 'Make the link',
    },
  };
  for (const [name, form] of Object.entries(forms)) {
    await test.step(name, () => refused(pilothouse, { scripts: page, plain }, form));
  }
});

test('what is typed into a name, a value and a reason is shown as text', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'literal');
  const { placement } = await demo.cell();
  const variables = `NOTE=${MARKUP} & <b>“quoted”</b>`;
  await ana.call('services/change-configuration', { placement, variables, based_on: '1', cpu: '1', memory_mib: '64', pids: '64' });
  const release = await demo.release(IMAGES.v1);
  const start = (reason: string) => ana.call<string>('rollouts/start', { placement, release, newest: '', reason });
  for (const odd of ['a\u0000b', '\u001b[31mred']) {
    await expect(start(odd)).rejects.toMatchObject({ status: 422, message: expect.stringContaining('"reason"') });
  }
  const started = await start(MARKUP);
  await demo.ends(started);
  await ana.enters(page.context());
  const alerts: string[] = [];
  page.on('dialog', (dialog) => {
    alerts.push(dialog.message());
    void dialog.dismiss();
  });

  for (const [path, text] of [
    ['/projects/demo/services/literal', variables.slice(5)],
    [`/rollouts/${started}`, MARKUP],
    ['/history', MARKUP],
  ] as const) {
    await page.goto(path);
    await hydrated(page);
    expect(await page.locator('main').evaluate((main) => main.textContent)).toContain(text);
    expect(await page.locator('main img, main script').count()).toBe(0);
  }
  expect(alerts).toEqual([]);
});
