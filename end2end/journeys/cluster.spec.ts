// A real cluster: connected by pasting its kubeconfig, given an environment, and then the same buttons as on
// Docker. An image that only this machine has is refused with what would help; pushed, it is rolled out
// under load that comes from inside the cluster, and one click brings the old version back.

import { randomBytes } from 'node:crypto';
import { Demo, IMAGES, makeImages } from '../support/demo.ts';
import { Load, REQUESTS } from '../support/load.ts';
import { until } from '../support/machine.ts';
import { expect, hydrated, NO_CLUSTER, pushes, SETTINGS, test } from '../support/on-cluster.ts';
import { Person } from '../support/person.ts';
import { ROBOT } from '../support/registry.ts';

test.use({
  settings: [SETTINGS, { scope: 'worker' }],
  fresh: ['cluster', { scope: 'worker' }],
});

test.skip(NO_CLUSTER, 'nothing is tested on Kubernetes here');

test.beforeAll(async () => makeImages());

const ENVIRONMENT = 'rehearsal';

test('a cluster is connected, a version rolled out on it under load, and the old one brought back', async ({ pilothouse, cluster, registry, page }) => {
  test.setTimeout(180_000);
  const prefix = `e2e-${randomBytes(4).toString('hex')}`;
  const namespace = `${prefix}-${ENVIRONMENT}`;
  await cluster.namespace(namespace, { 'limits.memory': '1Gi', 'limits.cpu': '8' });
  const ana = await Person.admin(pilothouse);
  await ana.enters(page.context());

  await test.step('its kubeconfig is pasted, and what it grants is said', async () => {
    await page.goto('/targets');
    await hydrated(page);
    const form = page.getByRole('region', { name: 'Connect a cluster' });
    await form.getByLabel('Name', { exact: true }).fill('rehearsals');
    await form.getByLabel('Kubeconfig').fill(cluster.kubeconfig);
    await form.getByRole('button', { name: 'Connect it' }).click();
    await page.waitForURL(/\/targets\/[0-9a-f-]+\?inquiry=/);
    await expect(page.getByRole('region', { name: 'What is needed and granted' })).toBeVisible({ timeout: 20_000 });
    await page.getByLabel('Namespaces').fill(`${prefix}-{environment}`);
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('The choice was saved.')).toBeVisible();
  });

  await test.step('an environment is added that lives there', async () => {
    await page.goto('/environments');
    await hydrated(page);
    const add = page.getByRole('region', { name: 'Add an environment' });
    await add.getByLabel('Name', { exact: true }).fill(ENVIRONMENT);
    await add.getByLabel('Place in the order').selectOption({ label: 'after local' });
    await add.getByLabel('Target').selectOption({ label: 'rehearsals' });
    await add.getByRole('button', { name: 'Add it' }).click();
    await expect(page.getByText('The environment was added.')).toBeVisible();
  });

  const demo = await Demo.add(pilothouse, ana, 'shop', { size: '2' });
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];

  await test.step('an image that only this machine has is refused, with what would help', async () => {
    const rollout = await demo.deploys(v1, ENVIRONMENT);
    const { ending } = await demo.ends(rollout, 'failed');
    expect(ending?.why).toMatch(/registry/i);
  });

  const id = await ana.call<string>('registries/add', { name: 'company', address: registry.address, ...ROBOT });
  const rule = { service: demo.service, registry: id, path: 'demo/shop', tags: '{version}', after_build: 'no' };
  await ana.call('registries/set-rule', rule);
  for (const release of [v1, v2]) await pushes(ana, release);

  await test.step('pushed, it goes live by the same button as everywhere', async () => {
    await page.goto('/projects/demo/services/shop');
    await hydrated(page);
    await page.getByRole('listitem', { name: ENVIRONMENT }).getByRole('button', { name: 'Deploy' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Release').selectOption('1.0.0');
    await dialog.getByRole('button', { name: 'Deploy' }).click();
    await page.waitForURL(/\/rollouts\//);
    await expect(page.getByText(`1.0.0 is live in ${ENVIRONMENT}`)).toBeVisible({ timeout: 60_000 });
  });
  expect(await cluster.field(namespace, 'service/shop', '.spec.selector.pilothouse/slot')).toMatch(/blue|green/);

  const load = Load.start(`http://${await cluster.wayTo(namespace, 'shop')}/`, { ...REQUESTS, rate: 100 });
  await test.step('the next version comes under load', async () => {
    const rollout = await demo.deploys(v2, ENVIRONMENT);
    await page.goto(`/rollouts/${rollout}`);
    await expect(page.getByText(`2.0.0 is live in ${ENVIRONMENT}`)).toBeVisible({ timeout: 60_000 });
    await expect(page.getByRole('region', { name: 'Evidence' })).toBeVisible();
  });

  await test.step('one click and a yes bring the old version back', async () => {
    await hydrated(page);
    await page.getByRole('button', { name: 'Roll back', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('1.0.0 is up and warm');
    await dialog.getByLabel('Reason').fill('it was only a try');
    await dialog.getByRole('button', { name: 'Roll back to 1.0.0' }).click();
    await expect(page.getByText(`1.0.0 is live in ${ENVIRONMENT}`)).toBeVisible({ timeout: 60_000 });
  });
  const report = await load.stop();
  expect([report.failed, report.failures.slice(0, 3)]).toEqual([0, []]);
  expect(Object.keys(report.versions).sort()).toEqual(['1.0.0', '2.0.0']);

  await test.step('a hand that moves the traffic is seen, and nothing writes over it', async () => {
    const cell = await demo.cell(ENVIRONMENT);
    const other = cell.live?.slot === 'blue' ? 'green' : 'blue';
    await cluster.patch(namespace, 'service/shop', { spec: { selector: { 'pilothouse/slot': other } } });
    await until('it is seen', 8, async () => Boolean((await demo.cell(ENVIRONMENT)).drift));
    expect(await cluster.kubectl('--namespace', namespace, 'get', 'service/shop', '--output=json')).toContain(`"pilothouse/slot": "${other}"`);
  });
});
