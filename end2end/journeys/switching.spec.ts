// Not one request is lost: switches forth and back under load, and whatever dies meanwhile.

import { Demo, GOOD, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { killedIn } from '../support/faults.ts';
import { Load, lost, NOTHING } from '../support/load.ts';
import { sleep } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { expect, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

test('two versions switched ten times forth and back under 500 requests/s lose nothing', async ({ pilothouse }) => {
  test.setTimeout(240_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'ten', { cpu: '2' });
  const v1 = await demo.release(IMAGES.v1);
  const v2 = await demo.release(IMAGES.v2);
  await demo.ends(await demo.deploys(v1));

  const load = Load.start(demo.url(), { rate: 500, seconds: 200, closing: 30, websockets: 5, events: 5 });
  const switched: (number | null)[] = [];
  const counted: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    const forth = await demo.ends(await demo.deploys(v2));
    const back = await demo.ends(await demo.rollsBack());
    switched.push(forth.evidence.switched_in_ms, back.evidence.switched_in_ms);
    counted.push(forth.evidence.requests, back.evidence.requests);
    expect([forth.evidence.failures, back.evidence.failures]).toEqual([0, 0]);
  }
  const report = await load.stop();

  expect(lost(report)).toEqual(NOTHING);
  expect(report.sent).toBeGreaterThan(10_000);
  expect(Math.min(...counted)).toBeGreaterThan(500);
  console.log(
    `ten switches: ${report.failed} of ${report.sent} failed, longest gap ${report.longest_gap_ms} ms, ` +
      `p99 ${report.latency_ms.p99} ms, switched in ${switched.join(', ')} ms`,
  );
});

test('a thousand open event streams live through a switch until the drain ends', async ({ pilothouse }) => {
  test.setTimeout(120_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'streams', { cpu: '2', memory_mib: '256', pids: '512' });
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const v2 = await demo.release(IMAGES.v2);
  const load = Load.start(demo.url(), { rate: 20, events: 1000, websockets: 0 });
  await sleep(5000);

  await demo.ends(await demo.deploys(v2));
  await sleep(2000);

  const report = await load.stop();
  console.log(`streams: ${JSON.stringify(report.events)}, ${report.failed} of ${report.sent} failed`);
  expect(lost(report)).toEqual(NOTHING);
  // Each was told to come back once, and did.
  expect(report.events.opened).toBeGreaterThanOrEqual(2000);
});

for (const [what, image, fields] of [
  ['is never ready', IMAGES.unready, { health_path: '/ready', version_field: '' }],
  ['says it is another version', IMAGES.liar, {}],
] as const) {
  test(`a version that ${what} never gets traffic`, async ({ pilothouse }) => {
    const ana = await Person.admin(pilothouse);
    const demo = await Demo.add(pilothouse, ana, image === IMAGES.liar ? 'liar' : 'unready', fields);
    await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
    const load = Load.start(demo.url(), { rate: 100 });

    const rollout = await demo.deploys(await demo.release(image));
    await demo.ends(rollout, 'failed');

    const report = await load.stop();
    expect(await demo.phases(rollout)).not.toContain('switching');
    expect(lost(report)).toEqual(NOTHING);
    expect(Object.keys(report.versions)).toEqual(['1.0.0']);
    expect((await demo.cell()).live?.release.name).toBe('1.0.0');
  });
}

test('a version that breaks after the switch is taken back by itself in under 5 s', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'breaks', { version_field: '' });
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const load = Load.start(demo.url(), { rate: 200, websockets: 0, events: 0 });
  await sleep(1000);

  const state = await demo.ends(await demo.deploys(await demo.release(IMAGES.breaks)), 'rolled_back');

  await sleep(500);
  const report = await load.stop();
  // Sent on schedule, so the failed ones tell for how long it was bad.
  const badMs = (report.failed / 200) * 1000;
  console.log(
    `taken back: ${report.failed} of ${report.sent} failed, which is ${badMs} ms; ` +
      `decided to confirmed ${Date.parse(state.evidence.back_confirmed_at!) - Date.parse(state.evidence.back_decided_at!)} ms`,
  );
  expect(report.failed).toBeGreaterThan(0);
  expect(badMs).toBeLessThan(5000);
  expect((await demo.cell()).live?.release.name).toBe('1.0.0');
});

test('the control plane killed at every phase ends in the same place, one row a phase', async ({ pilothouse }) => {
  test.setTimeout(300_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'killed');
  const releases = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(releases[0]));
  const load = Load.start(demo.url(), { rate: 100, seconds: 280 });

  for (const [turn, phase] of ['queued', ...GOOD.slice(0, -1)].entries()) {
    const release = releases[(turn + 1) % 2];
    const rollout = await demo.deploys(release);
    await killedIn(demo, rollout, phase);

    await demo.ends(rollout);
    expect(await demo.phases(rollout), `killed in ${phase}`).toEqual(GOOD);
  }

  expect(lost(await load.stop())).toEqual(NOTHING);
});

test('the router killed in a switch serves one slot when it is back', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'router');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const rollout = await demo.deploys(await demo.release(IMAGES.v2));
  await demo.reaches(rollout, 'switching');

  await pilothouse.stopRouter('SIGKILL');
  await pilothouse.startRouter();
  await demo.ends(rollout);

  const versions = new Set<string>();
  for (let n = 0; n < 40; n++) versions.add(await demo.get('/version'));
  expect(versions.size).toBe(1);
  expect((await demo.cell()).live?.release.name).toBe('2.0.0');
});
