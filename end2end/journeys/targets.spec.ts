// Connecting a cluster as far as that goes without one: what of a kubeconfig is refused and in which
// words, that nothing secret of it is shown again, and that a target which does not answer is said so on
// its page, on the environment's and in the history. A real cluster has a journey of its own.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { QUICK } from '../support/demo.ts';
import { run } from '../support/machine.ts';
import { Person, Refusal } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }], fresh: ['targets', { scope: 'worker' }] });

const TOKEN = 'hunter2-hunter2-hunter2';

/** A kubeconfig for a cluster that nobody has; `user` and `cluster` go in the place of what is good. */
function kubeconfig({ user = `token: ${TOKEN}`, cluster = "server: 'https://127.0.0.1:1'" } = {}): string {
  return `apiVersion: v1
kind: Config
current-context: staging
clusters:
- name: c1
  cluster: {${cluster}}
users:
- name: robot
  user: {${user}}
contexts:
- name: staging
  context: {cluster: c1, user: robot}
- name: second
  context: {cluster: c1, user: robot, namespace: shop}
`;
}

const REFUSED: [what: string, text: string, says: string][] = [
  ['words', 'not a kubeconfig', 'can not be read as YAML'],
  ['a pod', 'apiVersion: v1\nkind: Pod\n', 'no kubeconfig'],
  ['a program', kubeconfig({ user: `token: ${TOKEN}, exec: {command: /bin/sh}` }), 'no program of a kubeconfig is run here'],
  ['a file', kubeconfig({ user: 'tokenFile: /etc/shadow' }), 'names a file'],
  ['a proxy', kubeconfig({ cluster: "server: 'https://c', proxy-url: 'http://p'" }), 'proxy-url'],
  ['whoever answers', kubeconfig({ cluster: "server: 'https://c', insecure-skip-tls-verify: true" }), 'insecure-skip-tls-verify'],
  ['plain http', kubeconfig({ cluster: "server: 'http://c'" }), 'must begin with https://'],
];

interface Targets {
  targets: { id: string; name: string; answers: boolean | null; says: string }[];
}

test('what a kubeconfig may not have is refused by its name, and nothing of it is stored', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of 422/);
  const ana = await Person.admin(pilothouse);
  const before = (await ana.call<Targets>('targets/page')).targets.length;
  await ana.enters(page.context());
  await page.goto('/targets');
  await hydrated(page);
  const form = page.getByRole('region', { name: 'Connect a cluster' });
  for (const [what, text, says] of REFUSED) {
    await form.getByLabel('Name', { exact: true }).fill('staging-cluster');
    await form.getByLabel('Kubeconfig').fill(text);
    await form.getByRole('button', { name: 'Connect it' }).click();
    await expect(form.getByRole('alert').getByText(says), what).toBeVisible();
    await expect(form.getByText(TOKEN), what).toHaveCount(0);
  }
  // A file is read into the field, and one that can be none is refused without touching what is there.
  const files = form.getByLabel('Or out of a file');
  const lines = form.getByLabel('Kubeconfig');
  await files.setInputFiles({ name: 'config', mimeType: '', buffer: Buffer.from(kubeconfig()) });
  await expect(lines).toHaveValue(kubeconfig());
  await files.setInputFiles({ name: 'program', mimeType: '', buffer: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 0xff]) });
  await expect(form.getByText('program is no text. Nothing was taken from it.')).toBeVisible();
  await files.setInputFiles({ name: 'large', mimeType: '', buffer: Buffer.alloc(256 * 1024 + 1, 'a') });
  await expect(form.getByText('large has 257 KiB, and 256 KiB is the most.')).toBeVisible();
  await expect(lines).toHaveValue(kubeconfig());
  // Without scripts it comes back with the name, and without what was pasted.
  const plain = await another({ javaScriptEnabled: false });
  await ana.enters(plain.context());
  await plain.goto('/targets');
  await plain.getByLabel('Name', { exact: true }).fill('staging-cluster');
  await plain.getByLabel('Kubeconfig').fill(REFUSED[2][1]);
  await plain.getByRole('button', { name: 'Connect it' }).click();
  await expect(plain.getByText(REFUSED[2][2]).first()).toBeVisible();
  await expect(plain.getByLabel('Name', { exact: true })).toHaveValue('staging-cluster');
  await expect(plain.getByLabel('Kubeconfig')).toHaveValue('');
  expect(decodeURIComponent(plain.url())).not.toContain(TOKEN);
  expect((await ana.call<Targets>('targets/page')).targets.length).toBe(before);
});

test('a cluster that does not answer is said so everywhere, and its credentials are nowhere', async ({ pilothouse, page, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  await ana.enters(page.context());
  await page.goto('/targets');
  await hydrated(page);
  const form = page.getByRole('region', { name: 'Connect a cluster' });
  await form.getByLabel('Name', { exact: true }).fill('staging-cluster');
  await form.getByLabel('Kubeconfig').fill(kubeconfig());
  await form.getByRole('button', { name: 'Connect it' }).click();
  await page.waitForURL(/\/targets\/[0-9a-f-]+\?inquiry=/);
  // Loopback is for the operator to list, not for who pastes.
  await expect(page.getByRole('alert').filter({ hasText: 'outgoing_allow' })).toBeVisible({ timeout: 20_000 });
  const id = new URL(page.url()).pathname.split('/').pop()!;
  await expect(async () => {
    const { targets } = await ana.call<Targets>('targets/page');
    const known = targets.find((one) => one.id === id);
    expect([known?.answers, known?.says.includes('outgoing_allow')]).toEqual([false, true]);
  }).toPass({ timeout: 10_000 });

  // What the page is drawn from was noted: it is not drawn anew while it is filled in.
  await page.reload();
  await hydrated(page);
  await expect(page.getByText('does not answer')).toBeVisible();
  await expect(page.getByLabel('Context').locator('option')).toHaveText([
    'staging: robot at https://127.0.0.1:1',
    'second: robot at https://127.0.0.1:1, namespace shop',
  ]);
  await page.getByLabel('Context').selectOption('second');
  await page.getByLabel('Namespaces').fill('apps-{project}');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('The choice was saved.')).toBeVisible();
  await expect(async () => {
    await page.reload();
    await expect(page.getByText('does not answer')).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 15_000 });
  await hydrated(page);
  await expect(page.getByLabel('Context')).toHaveValue('second');
  await looksGood(page, 'target');
  await page.goto('/targets');
  await hydrated(page);
  await looksGood(page, 'targets');

  // An environment on it: in the order, with what its target says.
  await page.goto('/environments');
  await hydrated(page);
  const add = page.getByRole('region', { name: 'Add an environment' });
  await add.getByLabel('Name', { exact: true }).fill('rehearsal');
  await add.getByLabel('Place in the order').selectOption({ label: 'after local' });
  await add.getByLabel('Target').selectOption({ label: 'staging-cluster' });
  await add.getByRole('button', { name: 'Add it' }).click();
  await expect(page.getByText('The environment was added.')).toBeVisible();
  await expect(page.getByRole('region', { name: 'rehearsal' })).toContainText('does not answer');
  const names = await page.locator('section.environment h2').allTextContents();
  expect(names.slice(0, 3)).toEqual(['local', 'rehearsal', 'staging']);
  await looksGood(page, 'environments');

  // It can not be archived now.
  const kept: Refusal = await ana.call('targets/archive', { target: id }).then(() => { throw new Error('archived'); }, (error: Refusal) => error);
  expect([kept.status, kept.message]).toEqual([409, expect.stringContaining('rehearsal runs on it')]);

  const dump = await run('pg_dump', ['--host', join(pilothouse.data, 'postgres', 'socket'), '--username', 'postgres', '--inserts', 'pilothouse']);
  expect(dump).toContain('staging-cluster');
  const places: [string, string][] = [['the database', dump]];
  for (const [name, path] of pilothouse.logs()) {
    places.push([name, readFileSync(path, 'utf8')]);
  }
  for (const path of [`/targets/${id}`, '/targets', '/history', '/history/export.jsonl']) {
    places.push([path, await (await ana.fetch(path, { headers: { accept: 'text/html' } })).text()]);
  }
  for (const form of [TOKEN, Buffer.from(TOKEN).toString('hex'), Buffer.from(TOKEN).toString('base64').slice(0, 28)]) {
    for (const [where, text] of places) {
      expect(text.includes(form), `in ${where}`).toBe(false);
    }
  }
  expect(places.find(([where]) => where === '/history')?.[1]).toContain('connected the target');
});
