// Two people at once, and what each role may do.

import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { Person, Refusal } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });

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
