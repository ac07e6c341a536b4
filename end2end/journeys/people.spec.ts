// Two and three people at once: what each role may do, how people come in and go.

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { sql } from '../support/database.ts';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { PASSWORD, Person, Refusal } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }], fresh: ['people', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

const refusal = (promise: Promise<unknown>): Promise<Refusal> =>
  promise.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: Refusal) => error,
  );

test('of two people who click at once one wins, and the other is told who', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'releaser');
  const demo = await Demo.add(pilothouse, ana, 'twice');
  const release = await demo.release(IMAGES.v1);
  const { placement } = await demo.cell();
  const start = (person: Person) =>
    person.call<string>('rollouts/start', { placement, release, newest: '', reason: person.name });

  const both = await Promise.allSettled([start(ana), start(bo)]);

  const won = both.filter((one) => one.status === 'fulfilled');
  const lost = both.filter((one) => one.status === 'rejected').map((one) => one.reason as Refusal);
  expect(won).toHaveLength(1);
  expect(lost.map((one) => [one.status, one.code])).toEqual([[409, 'conflict']]);
  expect(lost[0].message).toMatch(/Ana|Bo/);
  await demo.ends((won[0] as PromiseFulfilledResult<string>).value);
});

test('a deployer may deploy in staging and not in production, and the refusal is a row', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const chris = await ana.adds('Chris', 'deployer');
  const demo = await Demo.add(pilothouse, ana, 'guarded');
  const release = await demo.release(IMAGES.v1);

  const refused = await refusal(demo.deploys(release, 'production', chris));
  await demo.ends(await demo.deploys(release, 'staging', chris));

  expect([refused.status, refused.code]).toEqual([403, 'forbidden']);
  expect(refused.message).toContain('releaser');
  const history = await ana.call<{ rows: { row: { result: string } }[] }>('history/page', { 'filter[about]': 'refusals' });
  expect(history.rows[0].row.result).toBe('refused');
});

test('"could I?" is answered before the click, with scripts and without', async ({ pilothouse, page, another }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'asked');
  const release = await demo.release(IMAGES.v1);
  const plain = await another({ javaScriptEnabled: false });
  for (const one of [page, plain]) {
    await ana.enters(one.context());
    await one.goto(`/releases/${release}`);
    if (one === page) await hydrated(one);
    const production = one.getByRole('listitem').filter({ has: one.getByRole('heading', { name: 'production' }) });

    await production.getByRole('button', { name: 'Could I?' }).click();
    await one.waitForURL(/inquiry=/);

    await expect(async () => {
      if (one === plain) await one.reload();
      await expect(production).toContainText('Image is there', { timeout: 500 });
    }).toPass({ timeout: 10_000 });
    await expect(one.getByText('Image is there')).toHaveCount(1);
  }
  expect((await demo.cell('production')).newest).toBeNull();
});

test('a viewer sees the board and no buttons, and what is done elsewhere appears by itself', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const dana = await ana.adds('Dana', 'viewer');
  const demo = await Demo.add(pilothouse, ana, 'watched');
  const release = await demo.release(IMAGES.v1);
  await dana.enters(page.context());
  await page.goto('/');
  await hydrated(page);
  await expect(page.getByText('watched').first()).toBeVisible();
  await expect(page.getByRole('button', { name: /deploy/i })).toHaveCount(0);

  await demo.ends(await demo.deploys(release));

  await expect(page.locator('main')).toContainText('1.0.0', { timeout: 5000 });
});

test('the stream of somebody who is disabled ends, and so does his session', async ({ pilothouse, page, consoleWatch }) => {
  consoleWatch.expect(/401|403|live/);
  const ana = await Person.admin(pilothouse);
  const eve = await ana.adds('Eve', 'viewer');
  await eve.enters(page.context());
  await page.goto('/');
  await hydrated(page);
  const stream = await eve.fetch('/live?after=0&topics=board', { signal: AbortSignal.timeout(20_000) });
  expect(stream.status).toBe(200);
  const { people } = await ana.call<{ people: { id: string; name: string }[] }>('people/page');
  const begun = Date.now();

  await ana.call('people/disable', { person: people.find((one) => one.name === 'Eve')!.id });
  const reader = stream.body!.getReader();
  while (!(await reader.read()).done);

  expect(Date.now() - begun).toBeLessThan(5000);
  expect((await refusal(eve.call('services/board'))).status).toBe(401);
});

test('nobody raises his own rights, and the last admin stays', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const finn = await ana.adds('Finn', 'releaser');
  const { people } = await ana.call<{ people: { id: string; name: string; grants: { id: string }[] }[] }>('people/page');
  const id = (name: string) => people.find((one) => one.name === name)!.id;
  const grant = { project: '', environment: '' };

  const own = await refusal(finn.call('people/give-grant', { person: id('Finn'), role: 'admin', ...grant }));
  const last = await refusal(ana.call('people/disable', { person: id('Ana') }));

  expect([403, 404]).toContain(own.status);
  expect([409, 422, 403]).toContain(last.status);
});

test('a request from another site is refused, and so is one with a strange host', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const evil = await ana.fetch('/api/people/sign-out', { method: 'POST', headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } });
  expect(evil.status).toBe(403);
  await ana.call('services/board');
});

interface People {
  people: { id: string; name: string; grants: { id: string; role: string; scope_words: string }[] }[];
}

const somebody = async (ana: Person, name: string) => {
  const { people } = await ana.call<People>('people/page');
  return people.find((one) => one.name === name)!;
};

/** Invites by the doors that the page uses, and gives the link as a path. */
const invites = async (ana: Person, name: string, role = 'viewer'): Promise<string> => {
  const { link } = await ana.call<{ link: string }>('people/invite', { name, days: '1', role });
  return link.slice(new URL(link).origin.length);
};

const fills = async (page: Page, name: string, password = PASSWORD) => {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByLabel('Password again').fill(password);
};

/** Reads a stream until it ends, and says what it said and how long after `begun` it did. */
const readsToTheEnd = async (stream: Response, begun: () => number) => {
  const decoder = new TextDecoder();
  let said = '';
  for await (const bytes of stream.body!) said += decoder.decode(bytes as Uint8Array, { stream: true });
  return { said, after: Date.now() - begun() };
};

test('an invited person comes in by the link, once, with what the link carries', async ({ pilothouse, page, another, looksGood, consoleWatch }) => {
  consoleWatch.expect(/status of 409/);
  const ana = await Person.admin(pilothouse);
  await Demo.add(pilothouse, ana, 'inviting');
  await ana.enters(page.context());
  await page.goto('/people/invitations');
  await hydrated(page);
  const form = page.getByRole('region', { name: 'Invite a person' });
  await form.getByLabel('Name').fill('Gwen');
  await form.getByLabel('Role').first().selectOption('releaser');
  await form.getByLabel('Environment').first().selectOption({ label: 'staging' });

  // What it allows is said before it is made.
  await expect(form).toContainText(/Gains.*in staging: .*roll out/);
  await form.getByRole('button', { name: 'Make the link' }).dblclick();
  const link = await page.getByLabel('Link', { exact: true }).inputValue();
  await expect(page.getByText('The link for Gwen')).toBeVisible();
  await looksGood(page, 'invitations');
  await expect(page.getByRole('listitem', { name: 'Gwen' })).toContainText('releaser in staging');
  expect(link.startsWith(`${pilothouse.url}/invitation?token=`)).toBe(true);
  await page.reload();
  await hydrated(page);
  expect(await page.content()).not.toContain(link.split('token=')[1]);

  // Two browsers open it at once; the second is too late.
  const [gwen, late] = [await another(), await another()];
  for (const one of [gwen, late]) {
    await one.goto(link);
    await hydrated(one);
    await expect(one.getByText('Ana invites you')).toBeVisible();
    await expect(one.locator('main')).toContainText('releaser in staging: you may make releases');
    await expect(one.getByLabel('Name', { exact: true })).toHaveValue('Gwen');
  }
  await looksGood(gwen, 'invitation');
  await fills(gwen, 'Gwen');
  await fills(late, 'Mallory');
  await gwen.getByRole('button', { name: 'Make my account' }).click();
  await expect(gwen.getByRole('link', { name: 'Account of Gwen' })).toBeVisible();
  await expect(gwen).toHaveURL(`${pilothouse.url}/`);
  await late.getByRole('button', { name: 'Make my account' }).click();
  await expect(late.getByText(/was used, and it works once/)).toBeVisible();
  await expect(late.getByLabel('Name', { exact: true })).toHaveValue('Mallory');
  await late.reload();
  await expect(late.getByText(/was used, and it works once/)).toBeVisible();
  await expect(late.getByLabel('Name', { exact: true })).toHaveCount(0);

  await page.goto('/people/invitations');
  await expect(page.getByRole('listitem', { name: 'Gwen' })).toContainText('accepted by Gwen');
  await page.goto('/history?about=people');
  await expect(page.locator('main')).toContainText('Gwen accepted the invitation for Gwen by Ana');
  await expect(page.locator('main')).toContainText('Ana invited Gwen');
  // The secret is in no place where it must not be.
  const token = link.split('token=')[1];
  const told = await sql(pilothouse, 'postgres', `select coalesce(string_agg(convert_from(body, 'UTF8'), ' '), '') from history`);
  expect(told).not.toContain(token);
  for (const [, path] of pilothouse.logs()) expect(readFileSync(path, 'utf8')).not.toContain(token);
});

test('an expired and a withdrawn link say so, and so does one of an admin who is gone', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of 4\d\d/, /preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  const hugo = await ana.adds('Hugo', 'admin');
  const [expired, withdrawn, orphan] = [await invites(ana, 'Late'), await invites(ana, 'Unwanted'), await invites(hugo, 'Orphan', 'admin')];
  await ana.enters(page.context());
  const plain = await another({ javaScriptEnabled: false });
  await plain.goto(withdrawn);
  await fills(plain, 'Unwanted');

  await sql(pilothouse, 'pilothouse_app', `update invitations set invited_at = now() - interval '2 days', expires_at = now() - interval '1 second' where name = 'Late'`);
  await page.goto('/people/invitations');
  await hydrated(page);
  await page.getByRole('listitem', { name: 'Unwanted' }).getByRole('button', { name: 'Withdraw' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Withdraw the invitation' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'withdrawn' })).toBeVisible();
  await ana.call('people/disable', { person: (await somebody(ana, 'Hugo')).id });

  // Who had it open is told as well, and keeps what was typed.
  await plain.getByRole('button', { name: 'Make my account' }).click();
  await expect(plain.getByText(/was withdrawn/).first()).toBeVisible();
  for (const [link, says] of [
    [expired, /has expired. Ask Ana for a new one/],
    [withdrawn, /was withdrawn/],
    [orphan, /is void: Hugo may not manage people/],
    ['/invitation?token=' + '0'.repeat(64), /no invitation of this console/],
    ['/invitation', /no invitation of this console/],
  ] as const) {
    const guest = await another();
    await guest.goto(link);
    await hydrated(guest);
    await expect(guest.locator('main')).toContainText(says);
    await expect(guest.getByRole('button', { name: 'Make my account' })).toHaveCount(0);
  }
  await page.goto('/people/invitations');
  for (const [name, word] of [['Late', 'expired'], ['Unwanted', 'withdrawn by Ana'], ['Orphan', 'void: Hugo may not manage people']]) {
    await expect(page.getByRole('listitem', { name })).toContainText(word);
  }
});

test('without scripts one invites, is shown the link once, and comes in', async ({ pilothouse, another, consoleWatch }) => {
  consoleWatch.expect(/status of 4\d\d/, /preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  const page = await another({ javaScriptEnabled: false });
  await ana.enters(page.context());
  await page.goto('/people/invitations');
  await page.getByLabel('Name').fill('Plain Pete');
  await page.getByLabel('Role').first().selectOption('auditor');
  await page.getByRole('button', { name: 'Show what it allows' }).click();
  await expect(page.locator('main')).toContainText(/Gains.*everywhere: .*read the history/);
  await page.getByRole('button', { name: 'Make the link' }).click();

  const link = await page.getByLabel('Link', { exact: true }).inputValue();
  expect(page.url()).toBe(`${pilothouse.url}/people/invitations`);
  await page.reload();
  await expect(page.getByLabel('Link', { exact: true })).toHaveCount(0);

  const pete = await another({ javaScriptEnabled: false });
  await pete.goto(link);
  await fills(pete, 'Plain Pete', 'short');
  await pete.getByRole('button', { name: 'Make my account' }).click();
  await expect(pete.getByText('at least 12 characters').first()).toBeVisible();
  await expect(pete.getByLabel('Name', { exact: true })).toHaveValue('Plain Pete');
  expect(new URL(pete.url()).search).not.toContain('short');
  await fills(pete, 'Plain Pete');
  await pete.getByRole('button', { name: 'Make my account' }).click();
  await expect(pete.getByRole('link', { name: 'Account of Plain Pete' })).toBeVisible();
  expect((await somebody(ana, 'Plain Pete')).grants).toMatchObject([{ role: 'auditor', scope_words: 'everything' }]);
});

test('a change of roles says what it changes before it is saved, and saves only that', async ({ pilothouse, page, another, looksGood, consoleWatch }) => {
  consoleWatch.expect(/status of 409/, /preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  await Demo.add(pilothouse, ana, 'previewed');
  await ana.adds('Kim', 'viewer');
  const kim = await somebody(ana, 'Kim');
  const home = `/people/${kim.id}`;
  await ana.enters(page.context());
  await page.goto(home);
  await hydrated(page);
  const give = page.getByRole('region', { name: 'Give a role' });

  await give.getByLabel(/^viewer/).check();
  await expect(give).toContainText('Kim is viewer in everything already, by Ana');
  await give.getByLabel(/^releaser/).check();
  await give.getByLabel('Environment', { exact: true }).selectOption({ label: 'production, protected' });
  await expect(give).toContainText(/Gains.*in production: .*roll out/);
  await expect(give).not.toContainText('Loses');
  await looksGood(page, 'person');

  // Another admin was quicker: what was shown is not what would be saved.
  const given = await ana.call<string>('people/give-grant', { person: kim.id, role: 'auditor', project: '', environment: '' });
  await give.getByRole('button', { name: 'Give the role' }).click();
  await expect(give.getByRole('alert')).toContainText('This is not the change that was shown');
  expect((await somebody(ana, 'Kim')).grants).toHaveLength(2);
  await page.reload();
  await hydrated(page);
  await give.getByLabel(/^releaser/).check();
  await give.getByLabel('Environment', { exact: true }).selectOption({ label: 'production, protected' });
  await give.getByRole('button', { name: 'Give the role' }).dblclick();
  await expect(page.getByRole('status').filter({ hasText: 'The role was given' })).toBeVisible();
  expect((await somebody(ana, 'Kim')).grants.map((one) => `${one.role} in ${one.scope_words}`)).toEqual(['viewer in everything', 'auditor in everything', 'releaser in production']);

  await page.getByRole('listitem').filter({ hasText: 'auditor in everything' }).getByRole('button', { name: 'Take away' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText(/Loses.*read the history/);
  await looksGood(page, 'person-take-away');
  await dialog.getByRole('button', { name: 'Take the role away' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'taken away' })).toBeVisible();
  expect((await somebody(ana, 'Kim')).grants.map((one) => one.id)).not.toContain(given);

  // Without scripts the choice is looked at first, and another choice after that is refused.
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await plain.goto(home);
  await expect(plain.getByRole('button', { name: 'Give the role' })).toHaveCount(0);
  await plain.getByLabel(/^admin/).check();
  await plain.getByRole('button', { name: 'Show what it changes' }).click();
  await expect(plain.locator('main')).toContainText(/for the whole installation: .*manage people/);
  await plain.getByLabel(/^deployer/).check();
  await plain.getByRole('button', { name: 'Give the role' }).click();
  await expect(plain.getByText('This is not the change that was shown').first()).toBeVisible();
  expect((await somebody(ana, 'Kim')).grants).toHaveLength(2);
  await plain.getByRole('button', { name: 'Show what it changes' }).click();
  await plain.getByRole('button', { name: 'Give the role' }).click();
  await expect(plain.getByRole('listitem').filter({ hasText: 'deployer in everything' })).toBeVisible();
});

test('who is disabled is out at once, from every browser and stream', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/401|403|live|status of/);
  const ana = await Person.admin(pilothouse);
  const lea = await ana.adds('Lea', 'deployer');
  const again = await Person.signIn(pilothouse, 'Lea');
  const desk = page;
  const phone = await another();
  await lea.enters(desk.context());
  await again.enters(phone.context());
  for (const one of [desk, phone]) {
    await one.goto('/');
    await hydrated(one);
    await expect(one.getByRole('link', { name: 'Account of Lea' })).toBeVisible();
  }
  let begun = Date.now();
  const streams = await Promise.all([lea, again].map((one) => one.fetch('/live?after=0&topics=board', { signal: AbortSignal.timeout(30_000) })));
  const ends = Promise.all(streams.map((stream) => readsToTheEnd(stream, () => begun)));
  const boss = await another();
  await ana.enters(boss.context());
  await boss.goto(`/people/${(await somebody(ana, 'Lea')).id}`);
  await hydrated(boss);
  await expect(boss.locator('main')).toContainText('2 sessions open');
  await boss.getByRole('button', { name: 'Disable' }).click();

  begun = Date.now();
  await boss.getByRole('dialog').getByRole('button', { name: 'Disable the account' }).click();

  await expect(boss.getByText('▲ disabled')).toBeVisible();
  await expect(boss.locator('main')).toContainText('0 sessions open');
  for (const one of [lea, again]) expect((await refusal(one.call('services/board'))).status).toBe(401);
  for (const { after } of await ends) expect(after).toBeLessThan(5000);
  for (const one of [desk, phone]) await expect(one).toHaveURL(/\/sign-in\?next=/, { timeout: 15_000 });
  expect((await refusal(Person.signIn(pilothouse, 'Lea'))).code).toBe('wrong_password');
  await boss.getByRole('button', { name: 'Enable' }).click();
  await boss.getByRole('dialog').getByRole('button', { name: 'Enable the account' }).click();
  await expect(boss.getByRole('status').filter({ hasText: 'enabled' })).toBeVisible();
  await Person.signIn(pilothouse, 'Lea');
  expect((await refusal(lea.call('services/board'))).status, 'an old session does not come back').toBe(401);
});

test('a grant that is removed while its stream is open is felt there', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'withdrawn');
  const { projects } = await ana.call<{ projects: [id: string, name: string][] }>('people/page');
  const mia = await ana.adds('Mia', 'viewer', projects.find(([, name]) => name === 'demo')![0]);
  const { number } = await mia.call<{ number: number }>('services/board');
  const stream = await mia.fetch(`/live?after=${number}&topics=board`, { signal: AbortSignal.timeout(30_000) });
  let begun = Date.now();
  const end = readsToTheEnd(stream, () => begun);
  const grant = (await somebody(ana, 'Mia')).grants[0].id;

  await ana.call('people/take-grant', { grant });
  begun = Date.now();
  const { said, after } = await end;
  await demo.release(IMAGES.v1);

  expect(after).toBeLessThan(5000);
  expect(said).toContain('"is":"reset"');
  // Opened anew it says nothing of what may not be seen.
  const anew = await mia.fetch(`/live?after=${number}&topics=board`, { signal: AbortSignal.timeout(3000) });
  const heard = await anew.text().catch(() => '');
  expect(heard).not.toContain('withdrawn');
  const board = await mia.call<{ projects: unknown[] }>('services/board');
  expect(board.projects).toEqual([]);
});

test('of two admins who remove each other at once one stays', async ({ pilothouse }) => {
  // Ana steps aside, so that it is between these two.
  const ana = await Person.admin(pilothouse);
  const [nora, otto] = [await ana.adds('Nora', 'admin'), await ana.adds('Otto', 'admin')];
  const grant = async (name: string) => (await somebody(nora, name)).grants[0].id;
  await nora.call('people/take-grant', { grant: await grant('Ana') });
  const [ofNora, ofOtto] = [await grant('Nora'), await grant('Otto')];

  const both = await Promise.allSettled([nora.call('people/take-grant', { grant: ofOtto }), otto.call('people/take-grant', { grant: ofNora })]);

  expect(both.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
  const lost = both.find((one) => one.status === 'rejected') as PromiseRejectedResult;
  // Too late to be allowed, or the last.
  expect([403, 404, 409]).toContain((lost.reason as Refusal).status);
  const winner = both[0].status === 'fulfilled' ? nora : otto;
  const own = await refusal(winner.call('people/take-grant', { grant: both[0].status === 'fulfilled' ? ofNora : ofOtto }));
  expect(own.status).toBe(409);
  await winner.call('people/give-grant', { person: (await somebody(winner, 'Ana')).id, role: 'admin', project: '', environment: '' });
});

/** Fifty people with roles in all kinds of scopes, past the program: signing up takes a hash each. */
const fifty = (pilothouse: Pilothouse) =>
  sql(
    pilothouse,
    'pilothouse_app',
    `insert into projects (id, name) select gen_random_uuid(), 'team-' || n from generate_series(1, 4) n;
     insert into environments (id, name, position, protected, target_id, policy)
       select gen_random_uuid(), 'extra-' || n, 50 + n, n = 2, e.target_id, e.policy
       from generate_series(1, 2) n, (select * from environments where name = 'local') e;
     insert into users (id, name, password)
       select gen_random_uuid(), 'Person ' || lpad(n::text, 2, '0'), 'x' from generate_series(1, 50) n;
     insert into grants (id, user_id, role, project_id, environment_id, given_by)
       select gen_random_uuid(), u.id, (array['viewer', 'deployer', 'releaser', 'auditor'])[1 + (u.n + k) % 4],
         case when k > 0 then p.id end, case when k = 2 then e.id end, a.id
       from (select id, row_number() over (order by name) as n from users where name like 'Person %') u
       cross join generate_series(0, 2) k
       join (select id, row_number() over (order by name) as n from projects where name like 'team-%') p on p.n = 1 + (u.n + k) % 4
       join (select id, row_number() over (order by position) as n from environments) e on e.n = 1 + u.n % 5
       cross join (select id from users where name = 'Ana') a`,
  );

test('the matrix of fifty people and five environments explains itself, wide and narrow', async ({ pilothouse, page, looksGood, another, consoleWatch }) => {
  // Every cell is looked at in four ways.
  test.setTimeout(180_000);
  consoleWatch.expect(/preloaded using link preload but not used/);
  const ana = await Person.admin(pilothouse);
  await Demo.add(pilothouse, ana, 'crowded');
  await fifty(pilothouse);
  await ana.enters(page.context());
  await page.goto('/access');
  await hydrated(page);
  const cell = (name: string, column: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name, exact: true }) }).locator(`td[data-label="${column}"]`);
  await expect(page.locator('.matrix tbody tr')).not.toHaveCount(0);
  expect(await page.locator('.matrix tbody tr').count()).toBeGreaterThanOrEqual(51);
  expect(await page.locator('.matrix thead th').count()).toBe(6);
  await expect(cell('Ana', 'production')).toContainText(/may do everything: admin in everything, granted \d+ \w+ by /);
  // Person 01: deployer everywhere, releaser in team-3, auditor in team-4 in staging.
  await expect(cell('Person 01', 'staging')).toContainText(/may roll out: deployer in everything/);
  await expect(cell('Person 01', 'production')).toContainText(/may roll out: releaser in team-3, granted .* by Ana/);
  await cell('Person 01', 'production').getByText('more').click();
  await expect(cell('Person 01', 'production')).toContainText('may look and read logs: deployer in everything');

  await page.getByLabel('Project').selectOption({ label: 'demo' });
  await page.getByLabel('Who may …').selectOption({ label: 'roll out' });
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL(/may=roll_out/);
  await hydrated(page);
  await expect(page.getByText('Who may roll out with demo.')).toBeVisible();
  await expect(cell('Person 01', 'production')).toContainText('may not: needs releaser');
  await expect(cell('Person 01', 'staging')).toContainText('may roll out: deployer in everything');
  await expect(page.getByRole('columnheader', { name: /production/ })).toContainText(/\d+ of \d+/);

  await page.goto('/access');
  await hydrated(page);
  await looksGood(page, 'access-crowded');
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await plain.goto('/access?may=roll_out');
  await expect(plain.locator('main')).toContainText('Who may roll out, in any project.');
});
