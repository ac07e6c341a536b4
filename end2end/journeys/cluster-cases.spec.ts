// What others got wrong, on a real cluster: versions that never come up, hands and kills at the worst
// moment, a quota with room for one slot. docs/CASES.md says which case is shown where.

import type { Cluster } from '../support/cluster.ts';
import { sql } from '../support/database.ts';
import { GOOD, IMAGES, QUICK, type Demo } from '../support/demo.ts';
import { helloImage } from '../support/docker.ts';
import { BACK, EVERY } from '../support/faults.ts';
import { Load, lost, NOTHING, REQUESTS } from '../support/load.ts';
import { run, until } from '../support/machine.ts';
import { ENVIRONMENT, expect, NO_CLUSTER, rehearse, SETTINGS, type Site, test } from '../support/on-cluster.ts';
import { byHand } from '../support/policy.ts';

// Verifying lasts for some seconds, so that something can happen in it; what never starts ends soon.
const POLICY = QUICK.PILOTHOUSE_POLICY.replace('passes=1', 'passes=4') + ',prepare_within=20s';

test.use({
  settings: [{ ...SETTINGS, PILOTHOUSE_POLICY: POLICY }, { scope: 'worker' }],
  fresh: ['cluster-cases', { scope: 'worker' }],
});

test.skip(NO_CLUSTER, 'nothing is tested on Kubernetes here');

let site: Site;
let demo: Demo;
let address: string;
let v2: string;

test.beforeAll(async ({ pilothouse, cluster, registry }) => {
  test.setTimeout(120_000);
  const begun = await rehearse(pilothouse, cluster, registry);
  ({ site, demo, address } = begun);
  v2 = begun.releases[1];
});

/** Rolls out what must not get traffic: no request of a client is lost, and the selector never moves. */
async function staysWhileItFails(cluster: Cluster, release: string): Promise<string> {
  const slot = await site.selected(demo, ENVIRONMENT);
  const watched = cluster.watch(site.namespace(ENVIRONMENT), `service/${demo.name}`, '.spec.selector.pilothouse/slot');
  const load = Load.start(address, { ...REQUESTS, rate: 50 });
  const rollout = await demo.deploys(release, ENVIRONMENT);
  const { ending } = await demo.ends(rollout, 'failed');
  expect(await demo.phases(rollout)).not.toContain('switching');
  const report = await load.stop();
  expect(lost(report)).toEqual(NOTHING);
  expect(Object.keys(report.versions)).toEqual(['1.0.0']);
  expect(await watched.stop()).toEqual([slot]);
  return ending!.why;
}

test('a version that says it is another fails at its own check', async ({ cluster }) => {
  const why = await staysWhileItFails(cluster, await site.release(demo, IMAGES.liar));
  expect(why).toMatch(/1\.0\.0/);
});

test('a version that ends again and again never gets traffic, and its last words are told', async ({ cluster }) => {
  const why = await staysWhileItFails(cluster, await site.release(demo, IMAGES.crashes));
  expect(why).toContain('exit code 1');
});

test('an image that can not be pulled ends by itself at its deadline', async ({ cluster, registry }) => {
  test.skip(!EVERY, 'make faults tries it');
  const image = 'pilothouse-e2e:8.0.0-absent';
  await helloImage(image);
  const release = await site.release(demo, image);
  await registry.stop();
  try {
    const why = await staysWhileItFails(cluster, release);
    expect(why).toMatch(/can't be pulled/);
  } finally {
    await registry.resume();
    await run('docker', ['image', 'rm', image]);
  }
});

test('an instance that is killed during the checks never counts: they begin anew, or the rollout fails', async ({ cluster }) => {
  const namespace = site.namespace(ENVIRONMENT);
  const load = Load.start(address, { ...REQUESTS, rate: 50 });
  const rollout = await demo.deploys(v2, ENVIRONMENT);
  await demo.reaches(rollout, 'verifying');
  const { live } = await demo.cell(ENVIRONMENT);
  const [pod] = await cluster.pods(namespace, demo.name, live?.slot === 'blue' ? 'green' : 'blue');
  await cluster.kubectl('--namespace', namespace, 'delete', 'pod', pod, '--grace-period=0', '--force');
  const killed = Date.now();

  // The cluster makes another one at once, and that one may be good. Four passes take three seconds at least.
  await until('it ends', 60, async () => ['failed', 'succeeded'].includes((await demo.state(rollout)).phase));
  const switched = (await demo.rollout(rollout)).rows.find((row) => row.phase === 'switching');
  console.log(switched ? `switched ${Date.parse(switched.at) - killed} ms after the kill` : 'it failed');
  if (switched) {
    expect(Date.parse(switched.at) - killed).toBeGreaterThan(3000);
    await demo.ends(await demo.rollsBack(ENVIRONMENT));
  }
  expect(lost(await load.stop())).toEqual(NOTHING);
  expect((await demo.cell(ENVIRONMENT)).live?.release.name).toBe('1.0.0');
});

test('an abort right after the promotion is honoured', async () => {
  await byHand(demo.person, true, ENVIRONMENT);
  const slot = await site.selected(demo, ENVIRONMENT);
  const rollout = await demo.deploys(v2, ENVIRONMENT);
  await demo.reaches(rollout, 'awaiting_promotion');
  await demo.person.call('rollouts/ask', { rollout, ask: 'promote', reason: '' });
  await demo.person.call('rollouts/ask', { rollout, ask: 'abort', reason: 'not yet' });

  await until('it ends', 40, async () => ['aborted', 'rolled_back'].includes((await demo.state(rollout)).phase));
  expect((await demo.cell(ENVIRONMENT)).live?.release.name).toBe('1.0.0');
  expect(await site.selected(demo, ENVIRONMENT)).toBe(slot);
  await byHand(demo.person, false, ENVIRONMENT);
});

test('an instance that is not ready after the switch holds up no abort', async ({ cluster }) => {
  const namespace = site.namespace(ENVIRONMENT);
  const before = await site.selected(demo, ENVIRONMENT);
  const rollout = await demo.deploys(v2, ENVIRONMENT);
  await demo.reaches(rollout, 'observing');
  const [pod] = await cluster.pods(namespace, demo.name, before === 'blue' ? 'green' : 'blue');
  const process_ = await cluster.process(namespace, pod);
  process.kill(process_, 'SIGSTOP');
  const asked = Date.now();
  await demo.person.call('rollouts/ask', { rollout, ask: 'abort', reason: 'it hangs' });

  await until('traffic is back', 5, async () => (await site.selected(demo, ENVIRONMENT)) === before);
  console.log(`traffic was back ${Date.now() - asked} ms after the abort`);
  await demo.ends(rollout, 'rolled_back', 90);
  expect(await demo.phases(rollout)).toEqual(BACK);
});

test('a first deploy that is aborted after its switch leaves nobody behind its Service', async ({ cluster }) => {
  const namespace = site.namespace(ENVIRONMENT);
  const first = await site.service('first');
  const rollout = await first.deploys(await site.release(first, IMAGES.v1), ENVIRONMENT);
  await first.reaches(rollout, 'observing');
  await first.person.call('rollouts/ask', { rollout, ask: 'abort', reason: 'not yet' });

  await first.ends(rollout, 'aborted');
  expect(await site.selected(first, ENVIRONMENT)).not.toMatch(/blue|green/);
  expect(await cluster.pods(namespace, 'first', 'blue')).toEqual([]);
  expect((await first.cell(ENVIRONMENT)).live).toBeNull();
});

test('of two control planes over one database one drives, and the other goes on when it is killed', async ({ pilothouse }) => {
  test.skip(!EVERY, 'make faults tries it');
  test.setTimeout(120_000);
  await pilothouse.startSecond();
  const load = Load.start(address, { ...REQUESTS, rate: 50 });
  const { placement } = await demo.cell(ENVIRONMENT);
  const holder = () => sql(pilothouse, 'postgres', `select holder from placements where id = '${placement}'`);
  const first = await holder();
  const rollout = await demo.deploys(v2, ENVIRONMENT);
  await demo.reaches(rollout, 'verifying');
  expect(await holder()).toBe(first);

  await pilothouse.stopConsole('SIGKILL');
  const killed = Date.now();
  // Its lease lasts 5 s after its last beat, and the other looks often enough.
  await until('the other holds it', 10, async () => (await holder()) !== first);
  console.log(`the other took over ${Date.now() - killed} ms after the kill`);
  await until('the other ends it', 60, async () => (await sql(pilothouse, 'postgres', `select phase from rollouts where id = '${rollout}'`)) === 'succeeded');

  await pilothouse.startConsole();
  expect(await demo.phases(rollout)).toEqual(GOOD);
  expect(lost(await load.stop())).toEqual(NOTHING);
  await pilothouse.stopSecond();
});

test('a quota with room for one slot and not for two: refused with its figures, and deployed once it is raised', async ({ cluster, page }) => {
  test.setTimeout(120_000);
  // Instances of 64 MiB, two in a slot.
  const namespace = await site.environment('tight', ENVIRONMENT, { 'limits.memory': '192Mi', 'limits.cpu': '8' });
  const tight = await site.service('tight', { size: '2' });
  const [first, second] = [await site.release(tight, IMAGES.v1), await site.release(tight, IMAGES.v2)];
  await tight.ends(await tight.deploys(first, 'tight'));
  const slot = await site.selected(tight, 'tight');
  const before = await cluster.kubectl('--namespace', namespace, 'get', 'pods,deployments', '--output=name');

  const refused = await tight.deploys(second, 'tight');
  await tight.ends(refused, 'failed');
  expect(await tight.phases(refused)).toEqual(['preflight', 'failed']);
  await tight.person.enters(page.context());
  await page.goto(`/rollouts/${refused}`);
  const figures = 'the quota small has limits.memory: 128 MiB needed beside what stays, 64 MiB of 192 MiB free';
  await expect(page.getByText(figures).filter({ visible: true }).first()).toBeVisible();
  expect(await site.selected(tight, 'tight')).toBe(slot);
  expect(await cluster.kubectl('--namespace', namespace, 'get', 'pods,deployments', '--output=name')).toBe(before);

  await cluster.patch(namespace, 'resourcequota/small', { spec: { hard: { 'limits.memory': '256Mi' } } });
  await until('the cluster counts by it', 20, async () => (await cluster.field(namespace, 'resourcequota/small', '.status.hard.limits\\.memory')) === '256Mi');
  await expect(page.getByRole('button', { name: 'Deploy' }).first()).toBeVisible();
  await page.goto(`/rollouts/${await tight.deploys(second, 'tight')}`);
  await expect(page.getByText('2.0.0 is live in tight')).toBeVisible({ timeout: 60_000 });
});

test('a configuration alone is an ordinary rollout of the same release', async ({ cluster }) => {
  const namespace = site.namespace(ENVIRONMENT);
  const { placement, live } = await demo.cell(ENVIRONMENT);
  const limits = { cpu: '1', memory_mib: '64', pids: '64' };
  await demo.person.call('services/change-configuration', { placement, variables: 'GREETING=hello', based_on: '1', ...limits });
  const rollout = await demo.deploys(live!.release.id, ENVIRONMENT);

  await demo.ends(rollout);
  expect(await demo.phases(rollout)).toEqual(GOOD);
  const slot = await site.selected(demo, ENVIRONMENT);
  expect(slot).not.toBe(live!.slot);
  const told = await cluster.field(namespace, `deployment/${demo.name}-${slot}`, '.spec.template.spec.containers[0].envFrom[0].configMapRef.name');
  expect(await cluster.field(namespace, `configmap/${told}`, '.data.GREETING')).toBe('hello');
});

test('what is removed leaves nothing of ours in the namespace', async ({ cluster }) => {
  const { placement, newest } = await demo.cell(ENVIRONMENT);
  await demo.person.call('placements/remove', { placement, newest: newest ?? '', typed: demo.name, reason: 'a journey' });
  let removal = '';
  await until('the removal is asked for', 10, async () => (removal = (await demo.cell(ENVIRONMENT)).newest!) !== newest);
  await demo.ends(removal);
  const left = await cluster.kubectl('--namespace', site.namespace(ENVIRONMENT), 'get', 'pods,deployments,services,configmaps,secrets', '--output=name');
  expect(left.split('\n').filter((name) => name.includes('/shop'))).toEqual([]);
});
