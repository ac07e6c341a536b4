// A real registry: an admin adds it, a deployer pushes a release and deploys it after the image was
// removed from the machine, and the password is nowhere it must not be.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { helloImage } from '../support/docker.ts';
import { run, until } from '../support/machine.ts';
import { Person, Refusal } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { forgetImage, isThere, Registry, ROBOT } from '../support/registry.ts';
import { expect, hydrated, test as base } from '../support/test.ts';

const test = base.extend<object, { registry: Registry }>({
  registry: [
    async ({}, use) => {
      const registry = await Registry.start();
      await use(registry);
      await registry.remove();
    },
    { scope: 'worker' },
  ],
});

// A registry of this machine is one that an admin listed.
const SETTINGS = { ...QUICK, PILOTHOUSE_OUTGOING_ALLOW: '127.0.0.1' };

test.use({ settings: [SETTINGS, { scope: 'worker' }], fresh: ['registry', { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

interface Stored {
  digests: { repository: string; digest: string; how: string }[];
  pushes: { id: string; state: string; why: string | null; digest: string | null; by: string; tags: string[] }[];
}

const refusal = (promise: Promise<unknown>): Promise<Refusal> =>
  promise.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: Refusal) => error,
  );

/** The registry as Pilothouse knows it, added by whoever comes first. */
async function known(ana: Person, registry: Registry): Promise<string> {
  const { registries } = await ana.call<{ registries: { id: string; address: string }[] }>('registries/page');
  const found = registries.find((one) => one.address === registry.address);
  return found?.id ?? ana.call<string>('registries/add', { name: 'company', address: registry.address, ...ROBOT });
}

const goesTo = (person: Person, demo: Demo, registry: string) =>
  person.call('registries/set-rule', { service: demo.service, registry, path: `demo/${demo.name}`, tags: '{version}\n{commit}', after_build: 'yes' });

const stored = (person: Person, release: string) => person.call<Stored>('registries/stored', { release });

async function pushEnds(person: Person, release: string, seconds = 30): Promise<Stored['pushes'][0]> {
  let push: Stored['pushes'][0] | undefined;
  await until('the push ends', seconds, async () => {
    push = (await stored(person, release)).pushes[0];
    return push?.state === 'pushed' || push?.state === 'failed';
  });
  return push!;
}

/** Everywhere the password must not be: the database, the history as it is taken away, logs, answers. */
async function isNowhere(pilothouse: Pilothouse, ana: Person, secret: string, release: string): Promise<void> {
  const dump = await run('pg_dump', ['--host', join(pilothouse.data, 'postgres', 'socket'), '--username', 'postgres', '--inserts', 'pilothouse']);
  expect(dump).toContain('registries');
  // Bytes of a dump are hexadecimal.
  for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]) {
    expect(dump.includes(form), 'in the database').toBe(false);
    for (const [name, path] of pilothouse.logs()) {
      expect(readFileSync(path, 'utf8').includes(form), `in ${name}`).toBe(false);
    }
    for (const path of ['/registries', `/releases/${release}`, '/history', '/history/export.jsonl']) {
      const text = await (await ana.fetch(path, { headers: { accept: 'text/html' } })).text();
      expect(text.includes(form), `in ${path}`).toBe(false);
    }
  }
  for (const endpoint of ['registries/page', 'history/page']) {
    expect(JSON.stringify(await ana.call(endpoint))).not.toContain(secret);
  }
}

test('an admin adds a registry, tries it, and is told what is wrong', async ({ pilothouse, registry, page, another, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  await ana.enters(page.context());
  await page.goto('/registries');
  await hydrated(page);
  const form = page.getByRole('region', { name: 'Add a registry' });
  await form.getByLabel('Name', { exact: true }).fill('company');
  await form.getByLabel('Address').fill(registry.address);
  await form.getByLabel('User name').fill(ROBOT.user);
  await form.getByLabel('Password or token').fill('not the password at all');
  await form.getByRole('button', { name: 'Add it' }).click();
  const company = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'company' }) });
  await expect(company).toContainText(`signs in as ${ROBOT.user}`);
  // What was typed is gone from the page.
  await expect(form.getByLabel('Password or token')).toHaveValue('');

  await company.getByRole('button', { name: 'Test' }).click();
  await expect(company).toContainText('did not accept the user name and the password', { timeout: 20_000 });

  await company.getByRole('button', { name: 'Change the login' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByLabel('Password or token')).toHaveValue('');
  await dialog.getByLabel('User name').fill(ROBOT.user);
  await dialog.getByLabel('Password or token').fill(ROBOT.password);
  await dialog.getByRole('button', { name: 'Store the login' }).click();
  await expect(page.getByText('The credentials were stored.')).toBeVisible();
  await company.getByRole('button', { name: 'Test' }).click();
  await expect(company).toContainText('accepted the login', { timeout: 20_000 });
  await looksGood(page, 'registries');

  // The same without scripts, while the registry is away.
  await registry.stop();
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await plain.goto('/registries');
  await plain.getByRole('button', { name: 'Test' }).click();
  await plain.waitForURL(/inquiry=/);
  await expect(async () => {
    await plain.reload();
    await expect(plain.getByText('Nobody answers at')).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 20_000 });
  await registry.resume();

  // A secret that came back with a refusal is in no address.
  await plain.goto('/registries');
  const add = plain.getByRole('region', { name: 'Add a registry' });
  await add.getByLabel('Name', { exact: true }).fill('second');
  await add.getByLabel('Address').fill(registry.address);
  await add.getByLabel('User name').fill('who');
  await add.getByLabel('Password or token').fill(ROBOT.password);
  await add.getByRole('button', { name: 'Add it' }).click();
  await expect(plain.getByText('is there already').first()).toBeVisible();
  expect(decodeURIComponent(plain.url())).not.toContain(ROBOT.password);
});

test('a deployer pushes a release and deploys it after the image was removed', async ({ pilothouse, registry, page, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  const chris = await ana.adds('Chris', 'deployer');
  const vera = await ana.adds('Vera', 'viewer');
  const id = await known(ana, registry);
  const demo = await Demo.add(pilothouse, ana, 'kept');
  // An image of its own: other journeys use the others' at the same time.
  const name = `${pilothouse.prefix}-pushed:1.0.0`;
  await helloImage(name, `HELLO_GREETING=${randomBytes(8).toString('hex')}`);
  const release = await demo.release(name);
  const image = await run('docker', ['image', 'inspect', '--format', '{{.Id}}', name]);

  expect((await refusal(vera.call('registries/add', { name: 'v', address: 'v.example' }))).status).toBe(403);
  expect((await refusal(chris.call('registries/change', { registry: id, user: 'x', password: 'y' }))).status).toBe(403);
  expect((await refusal(chris.call('registries/push', { release }))).status).toBe(409);
  await goesTo(chris, demo, id);
  expect((await refusal(vera.call('registries/push', { release }))).status).toBe(403);

  await chris.enters(page.context());
  await page.goto(`/releases/${release}`);
  await hydrated(page);
  const section = page.getByRole('region', { name: 'In registries' });
  await expect(section).toContainText(`${registry.address}/demo/kept`);
  await section.getByRole('button', { name: 'Push' }).click();
  await expect(section).toContainText('✓ pushed', { timeout: 30_000 });
  await expect(section).toContainText('@sha256:');
  const push = (await stored(ana, release)).pushes[0];
  expect([push.state, push.by, push.tags]).toEqual(['pushed', 'Chris', ['1.0.0']]);
  expect(push.digest).toBe(await registry.digest('demo/kept', '1.0.0'));
  await looksGood(page, 'release-in-registry');

  // Nothing of it is left on the machine. It is fetched by its digest, and is the same image.
  await forgetImage(image);
  expect(await isThere(image)).toBe(false);
  const rollout = await demo.deploys(release, 'local', chris);
  await demo.ends(rollout);
  expect(await isThere(image)).toBe(true);
  expect(await demo.get('/')).toContain('1.0.0');
  const history = JSON.stringify(await ana.call('history/page'));
  for (const said of ['pushed ', 'fetched the image of ', 'by its digest']) expect(history).toContain(said);

  await isNowhere(pilothouse, ana, ROBOT.password, release);
});

test('of two who push one release at once one does, and a push that fails says why', async ({ pilothouse, registry }) => {
  const ana = await Person.admin(pilothouse);
  const dora = await ana.adds('Dora', 'deployer');
  const id = await known(ana, registry);
  await ana.call('registries/change', { registry: id, ...ROBOT });
  const demo = await Demo.add(pilothouse, ana, 'both');
  const release = await demo.release(IMAGES.v1);
  await goesTo(ana, demo, id);

  const both = await Promise.allSettled([ana, dora].map((person) => person.call<string>('registries/push', { release })));
  const lost = both.filter((one) => one.status === 'rejected').map((one) => one.reason as Refusal);
  expect(both.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
  expect(lost.map((one) => one.status)).toEqual([409]);
  expect(lost[0].message).toMatch(/(Ana|Dora) pushes it already/);
  expect((await pushEnds(ana, release)).state).toBe('pushed');

  await ana.call('registries/change', { registry: id, user: ROBOT.user, password: 'a wrong one, surely' });
  await dora.call('registries/push', { release });
  const refused = await pushEnds(ana, release);
  await ana.call('registries/change', { registry: id, ...ROBOT });
  await registry.stop();
  await dora.call('registries/push', { release });
  const away = await pushEnds(ana, release);
  await registry.resume();

  expect(refused.why).toContain('did not accept the user name and the password');
  expect(away.why).toContain('Nobody answers');
  const history = JSON.stringify(await ana.call('history/page'));
  expect(history).toContain('could not push ');
  expect(history).not.toContain('a wrong one, surely');
});

test('a tag that is moved is said to be, and the release stays what it was', async ({ pilothouse, registry }) => {
  const ana = await Person.admin(pilothouse);
  const id = await known(ana, registry);
  await ana.call('registries/change', { registry: id, ...ROBOT });
  const demo = await Demo.add(pilothouse, ana, 'moving');
  await goesTo(ana, demo, id);
  const [one, two] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  for (const release of [one, two]) {
    await ana.call('registries/push', { release });
    expect((await pushEnds(ana, release)).state).toBe('pushed');
  }
  const asks = async (release: string) => {
    const inquiry = await ana.call<string>('registries/ask-tags', { release });
    let answer: { is: string; findings?: { verdict: string; detail: string }[] } = { is: 'waiting' };
    await until('the tags were asked', 20, async () => {
      ({ answer } = await ana.call<{ answer: typeof answer }>('releases/inquiry', { id: inquiry }));
      return answer.is !== 'waiting';
    });
    return answer.findings ?? [];
  };
  expect((await asks(one)).map((finding) => finding.verdict)).toEqual(['pass']);

  await registry.move('demo/moving', '2.0.0', '1.0.0');

  const [moved] = await asks(one);
  expect(moved.verdict).toBe('warn');
  expect(moved.detail).toContain('points elsewhere now');
  expect((await stored(ana, one)).digests.map((stored) => stored.digest)).toContain((await stored(ana, one)).pushes[0].digest);

  // From the private registry itself, with what is stored for it: the release is the image of that moment.
  const looked = await ana.call<string>('releases/look-up-image', { service: demo.service, reference: `${registry.address}/demo/moving:1.0.0`, pull: 'yes' });
  let found: { is: string; id?: string } = { is: 'waiting' };
  await until('it is fetched', 30, async () => {
    found = (await ana.call<{ answer: typeof found }>('releases/inquiry', { id: looked })).answer;
    return found.is !== 'waiting';
  });
  expect(found.id).toBe(await run('docker', ['image', 'inspect', '--format', '{{.Id}}', IMAGES.v2]));
  await run('docker', ['image', 'rm', `${registry.address}/demo/moving:1.0.0`]);
});
