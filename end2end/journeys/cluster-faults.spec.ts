// Faults in the middle of a rollout on a real cluster: the control plane killed in each phase, the API
// server stopped for a while in three. `make faults` runs all of it, the gate a part.

import type { Cluster } from '../support/cluster.ts';
import { GOOD, type Demo } from '../support/demo.ts';
import { BACK, EVERY, killedIn } from '../support/faults.ts';
import { Load, lost, NOTHING, REQUESTS } from '../support/load.ts';
import { sleep, until } from '../support/machine.ts';
import { ENVIRONMENT, expect, NO_CLUSTER, rehearse, SETTINGS, type Site, test } from '../support/on-cluster.ts';
import { byHand } from '../support/policy.ts';

test.use({
  settings: [SETTINGS, { scope: 'worker' }],
  fresh: ['cluster-faults', { scope: 'worker' }],
});

test.skip(NO_CLUSTER, 'nothing is tested on Kubernetes here');

/** The phases that the gate tries: instances that are being made, the write itself, and what comes late. */
const IN_GATE = new Set(['preparing', 'switching', 'draining']);

let site: Site;
let demo: Demo;
let address: string;
/** The release that is not live comes next. */
let releases: [string, string];

test.beforeAll(async ({ pilothouse, cluster, registry }) => {
  test.setTimeout(120_000);
  ({ site, demo, address, releases } = await rehearse(pilothouse, cluster, registry));
});

/** Deploys what is not live now, while clients ask for it from inside. */
async function begins(): Promise<{ rollout: string; load: Load }> {
  const load = Load.start(address, { ...REQUESTS, rate: 100, seconds: 120 });
  const { live } = await demo.cell(ENVIRONMENT);
  const release = releases.find((one) => one !== live?.release.id)!;
  return { rollout: await demo.deploys(release, ENVIRONMENT), load };
}

/** What is live by the history is what the cluster sends requests to. */
async function agrees(): Promise<void> {
  const { live } = await demo.cell(ENVIRONMENT);
  expect(await site.selected(demo, ENVIRONMENT)).toBe(live?.slot);
}

for (const phase of ['queued', ...GOOD.slice(0, -1)]) {
  test(`the control plane killed in ${phase}`, async () => {
    test.skip(!EVERY && !IN_GATE.has(phase), 'make faults tries it');
    const { rollout, load } = await begins();

    await killedIn(demo, rollout, phase);

    await demo.ends(rollout);
    expect(await demo.phases(rollout)).toEqual(GOOD);
    expect(lost(await load.stop())).toEqual(NOTHING);
    await agrees();
  });
}

for (const phase of ['switching_back', 'cleaning_up']) {
  test(`the control plane killed in ${phase}`, async () => {
    test.skip(!EVERY, 'make faults tries it');
    const before = (await demo.cell(ENVIRONMENT)).live?.release.id;
    const { rollout, load } = await begins();
    await demo.reaches(rollout, 'observing');
    await demo.person.call('rollouts/ask', { rollout, ask: 'abort', reason: 'a journey' });

    await killedIn(demo, rollout, phase);

    await demo.ends(rollout, 'rolled_back');
    expect(await demo.phases(rollout)).toEqual(BACK);
    expect(lost(await load.stop())).toEqual(NOTHING);
    expect((await demo.cell(ENVIRONMENT)).live?.release.id).toBe(before);
    await agrees();
  });
}

test('the control plane killed while a person is waited for', async () => {
  test.skip(!EVERY, 'make faults tries it');
  await byHand(demo.person, true, ENVIRONMENT);
  const { rollout, load } = await begins();

  await killedIn(demo, rollout, 'awaiting_promotion');
  await demo.person.call('rollouts/ask', { rollout, ask: 'promote', reason: '' });

  await demo.ends(rollout);
  expect(await demo.phases(rollout)).toEqual([...GOOD.slice(0, 3), 'awaiting_promotion', ...GOOD.slice(3)]);
  expect(lost(await load.stop())).toEqual(NOTHING);
  await byHand(demo.person, false, ENVIRONMENT);
});

/** The API server stands still for so long; nothing of the cluster's traffic asks it. */
async function standsStill(cluster: Cluster, seconds: number): Promise<void> {
  await cluster.tool('signal', 'kube-apiserver', 'STOP');
  try {
    await sleep(seconds * 1000);
  } finally {
    await cluster.tool('signal', 'kube-apiserver', 'CONT');
  }
}

for (const phase of ['preparing', 'switching', 'observing']) {
  test(`the API server stopped for a while in ${phase}`, async ({ cluster }) => {
    test.skip(!EVERY && phase !== 'switching', 'make faults tries it');
    const { rollout, load } = await begins();
    await demo.reaches(rollout, phase);

    await standsStill(cluster, 5);

    const state = await demo.ends(rollout);
    expect(await demo.phases(rollout)).toEqual(GOOD);
    const report = await load.stop();
    console.log(`stopped in ${phase}: ${report.failed} of ${report.sent} failed, longest gap ${report.longest_gap_ms} ms, switched in ${state.evidence.switched_in_ms} ms`);
    expect(lost(report)).toEqual(NOTHING);
    await agrees();
  });
}

test('the API server stopped for longer than a switch may take waits for a person, and goes on', async ({ cluster }) => {
  test.skip(!EVERY, 'make faults tries it');
  const { rollout, load } = await begins();
  await demo.reaches(rollout, 'switching');

  await standsStill(cluster, 14);

  await until('it is told, or was done', 20, async () => {
    const { phase, trouble } = await demo.state(rollout);
    return trouble !== null || phase !== 'switching';
  });
  const { trouble } = await demo.state(rollout);
  if (trouble) {
    expect(['unreachable', 'too_slow']).toContain(trouble.is);
    await demo.person.call('rollouts/ask', { rollout, ask: 'retry', reason: 'it answers again' });
  }
  await demo.ends(rollout);
  expect(await demo.phases(rollout)).toEqual(GOOD);
  expect(lost(await load.stop())).toEqual(NOTHING);
  await agrees();
});

test('the API server killed and started again while it is observed', async ({ cluster }) => {
  test.skip(!EVERY, 'make faults tries it');
  const { rollout, load } = await begins();
  await demo.reaches(rollout, 'observing');

  await cluster.tool('restart', 'kube-apiserver');

  await demo.ends(rollout);
  expect(await demo.phases(rollout)).toEqual(GOOD);
  expect(lost(await load.stop())).toEqual(NOTHING);
  await agrees();
});
