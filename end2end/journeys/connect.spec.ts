// A real cluster as a target: its kubeconfig out of a file, its namespaces chosen from what is there, the way
// in from outside and where a service is reached with it and without; and on an open board, why a cluster
// is not reached any more. Nothing on the cluster serves an Ingress: what is looked at is the object.

import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { Demo, IMAGES, makeImages } from '../support/demo.ts';
import { run, until } from '../support/machine.ts';
import { expect, hydrated, NO_CLUSTER, pushes, SETTINGS, test } from '../support/on-cluster.ts';
import { Person } from '../support/person.ts';
import { ROBOT } from '../support/registry.ts';

test.use({
  settings: [SETTINGS, { scope: 'worker' }],
  fresh: ['connect', { scope: 'worker' }],
});

test.skip(NO_CLUSTER, 'nothing is tested on Kubernetes here');

test.beforeAll(async () => makeImages());

const ENVIRONMENT = 'rehearsal';

test('a cluster is connected from a file, entered from outside, and missed on the board', async ({ pilothouse, cluster, registry, page, looksGood }, testInfo) => {
  test.setTimeout(180_000);
  const prefix = `e2e-${randomBytes(4).toString('hex')}`;
  const namespace = `${prefix}-${ENVIRONMENT}`;
  await cluster.namespace(namespace);
  const ana = await Person.admin(pilothouse);
  await ana.enters(page.context());
  await Demo.add(pilothouse, ana, 'early');
  const file = testInfo.outputPath('kubeconfig');
  await writeFile(file, cluster.kubeconfig);

  await test.step('its kubeconfig comes out of a file, and is nowhere afterwards', async () => {
    await page.goto('/targets');
    await hydrated(page);
    const form = page.getByRole('region', { name: 'Connect a cluster' });
    await form.getByLabel('Name', { exact: true }).fill('rehearsals');
    await form.getByLabel('Or out of a file').setInputFiles(file);
    await expect(form.getByLabel('Kubeconfig')).toHaveValue(cluster.kubeconfig);
    await form.getByRole('button', { name: 'Connect it' }).click();
    await page.waitForURL(/\/targets\/[0-9a-f-]+\?inquiry=/);
    await expect(page.getByRole('region', { name: 'What is needed and granted' })).toBeVisible({ timeout: 20_000 });
    const key = /client-key-data: (\S+)/.exec(cluster.kubeconfig)?.[1] ?? '';
    expect(key.length).toBeGreaterThan(40);
    expect(await page.content()).not.toContain(key);
  });
  const target = new URL(page.url()).pathname.split('/').pop()!;

  const leads = page.getByRole('list', { name: 'Where the pattern leads' });

  await test.step('its namespaces are chosen from those that are there', async () => {
    await expect(leads).toContainText('for staging: demo-staging ✕ does not exist');
    const offered = page.locator('#offered-namespaces option');
    expect(await offered.evaluateAll((all) => all.map((one) => one.getAttribute('value')))).toContain(namespace);
    await page.getByLabel('Namespaces').fill(`${prefix}-{environment}`);
    await expect(leads).toContainText(`for staging: ${prefix}-staging ✕ does not exist`);
    await page.getByLabel('Host names').fill('{service}.{environment}.example.com');
    await page.getByLabel('Ingress class').fill('internal');
    await page.getByLabel('TLS secret').fill('wildcard');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('The choice was saved.')).toBeVisible();
    await ana.call('environments/add', { name: ENVIRONMENT, target, after: '' });
    await page.reload();
    await hydrated(page);
    await page.getByRole('button', { name: 'Ask it now' }).click();
    await expect(leads).toContainText(`for ${ENVIRONMENT}: ${namespace} ✓ exists, all that is needed is granted`, { timeout: 20_000 });
    await expect(page.getByRole('region', { name: 'What is needed and granted' })).toContainText('ingresses.networking.k8s.io');
    await looksGood(page, 'target');
  });

  const shop = await Demo.add(pilothouse, ana, 'shop');
  const release = await shop.release(IMAGES.v1);
  const id = await ana.call<string>('registries/add', { name: 'company', address: registry.address, ...ROBOT });
  await ana.call('registries/set-rule', { service: shop.service, registry: id, path: 'demo/shop', tags: '{version}', after_build: 'no' });
  await pushes(ana, release);

  await test.step('what goes live there is reached by a host name of its target', async () => {
    const rollout = await shop.deploys(release, ENVIRONMENT);
    await shop.ends(rollout, 'succeeded');
    expect(await cluster.field(namespace, 'ingress/shop', '.spec.rules[0].host')).toBe(`shop.${ENVIRONMENT}.example.com`);
    expect(await cluster.field(namespace, 'ingress/shop', '.spec.rules[0].http.paths[0].backend.service.name')).toBe('shop');
    await page.goto('/projects/demo/services/shop');
    const card = page.getByRole('listitem', { name: ENVIRONMENT });
    await expect(card.getByRole('link', { name: `shop.${ENVIRONMENT}.example.com` })).toHaveAttribute('href', `https://shop.${ENVIRONMENT}.example.com`);
    await expect(page.getByRole('link', { name: /shop\.demo\.local\.localhost/ })).toBeVisible();
    await page.goto(`/rollouts/${rollout}`);
    await expect(page.getByRole('link', { name: 'open it' })).toHaveAttribute('href', `https://shop.${ENVIRONMENT}.example.com`);
  });

  await test.step('without a pattern it goes, and the page says where the service is reached inside', async () => {
    await page.goto(`/targets/${target}`);
    await hydrated(page);
    for (const field of ['Host names', 'Ingress class', 'TLS secret']) await page.getByLabel(field).fill('');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('The choice was saved.')).toBeVisible();
    await until('the way in is gone', 20, async () => !(await cluster.kubectl('--namespace', namespace, 'get', 'ingress', '--output=name')));
    await page.goto('/projects/demo/services/shop');
    await expect(page.getByText(`shop.${namespace}.svc:80`)).toBeVisible();
    await page.goto('/history');
    await expect(page.getByText('changed how the target').first()).toBeVisible();
  });

  await test.step('a certificate that is not trusted is on an open board within 10 s', async () => {
    await page.goto('/');
    await hydrated(page);
    const other = testInfo.outputPath('other.pem');
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${other}.key`];
    await run('openssl', ['req', '-x509', ...curve, '-subj', '/CN=another', '-days', '1', '-out', other]);
    const authority = (await readFile(other)).toString('base64');
    const secret = cluster.kubeconfig.replace(/certificate-authority-data: \S+/, `certificate-authority-data: ${authority}`);
    expect(secret).toContain(authority);
    await ana.call('targets/replace', { target, secret });
    const column = page.getByRole('columnheader', { name: ENVIRONMENT });
    await expect(column).toContainText('does not answer: The cluster rehearsals can\'t be reached: its certificate is not one', { timeout: 10_000 });
    await looksGood(page, 'board');
    await ana.call('targets/replace', { target, secret: cluster.kubeconfig });
    await expect(column).not.toContainText('does not answer', { timeout: 15_000 });
  });
});
