// The Docker daemon restarts in the middle: traffic never leaves the live slot while its containers
// live, and the rollout goes on.

import { Demo, GOOD, IMAGES, makeImages } from '../support/demo.ts';
import { Engine } from '../support/engine.ts';
import { Load } from '../support/load.ts';
import { sleep } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { expect, test } from '../support/test.ts';

const engine = new Engine();

test.use({
  settings: [
    {
      PILOTHOUSE_POLICY: 'passes=3,observe_for=3s,drain_for=1s,warm_for=60s,verify_within=30s',
      PILOTHOUSE_DOCKER: engine.socket,
    },
    { scope: 'worker' },
  ],
});

test.beforeAll(async () => {
  await makeImages();
  await engine.start();
  await engine.takes(IMAGES.v1, IMAGES.v2);
});
test.afterAll(async () => engine.remove());

test('the Docker daemon restarted in the middle loses no request, and the rollout goes on', async ({ pilothouse }) => {
  test.setTimeout(240_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'daemon');
  const releases = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(releases[0]));
  const load = Load.start(demo.url(), { rate: 100, seconds: 220 });

  for (const [turn, [phase, signal]] of (
    [
      ['preparing', 'SIGKILL'],
      ['verifying', 'SIGTERM'],
      ['observing', 'SIGKILL'],
    ] as const
  ).entries()) {
    const rollout = await demo.deploys(releases[(turn + 1) % 2]);
    await demo.reaches(rollout, phase);
    await engine.stop(signal);
    await sleep(1500);
    await engine.start();

    await demo.ends(rollout);
    expect(await demo.phases(rollout), `${signal} in ${phase}`).toEqual(GOOD);
  }

  const report = await load.stop();
  console.log(`daemon: ${report.failed} of ${report.sent} failed, longest gap ${report.longest_gap_ms} ms`);
  expect(report.failures.slice(0, 5)).toEqual([]);
  expect([report.failed, report.websockets.cut, report.events.cut]).toEqual([0, 0, 0]);
});
