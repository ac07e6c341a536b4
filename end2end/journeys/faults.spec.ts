// Faults around a rollout, with several instances: what dies, what a hand does, what hangs.

import { connect, createServer, type Server } from 'node:net';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { randomBytes } from 'node:crypto';
import type { Locator, Page } from '@playwright/test';
import { Demo, GOOD, IMAGES, makeImages } from '../support/demo.ts';
import { containers } from '../support/docker.ts';
import { Load } from '../support/load.ts';
import { PROGRAMS, run, sleep, until } from '../support/machine.ts';
import { Person, Refusal } from '../support/person.ts';
import { expect, test } from '../support/test.ts';

/** A way to the engine that can be closed, for the program under test alone. */
class Way {
  readonly socket = join(tmpdir(), `pilothouse-way-${randomBytes(5).toString('hex')}.sock`);
  private server?: Server;
  private readonly open = new Set<{ destroy(): void }>();

  async opens(): Promise<void> {
    this.server = createServer((one) => {
      const other = connect('/var/run/docker.sock');
      for (const [from, to] of [[one, other], [other, one]] as const) {
        this.open.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy()).on('close', () => (this.open.delete(from), to.destroy()));
      }
    });
    await new Promise<void>((done) => this.server!.listen(this.socket, done));
  }

  async closes(): Promise<void> {
    const closed = new Promise((done) => this.server!.close(done));
    for (const one of this.open) one.destroy();
    await closed;
    rmSync(this.socket, { force: true });
  }
}

const way = new Way();
// Four passes take two seconds at least, of which a test on a slow machine may need one.
const POLICY = 'passes=4,observe_for=6s,drain_for=2s,warm_for=20s,verify_within=20s';

test.use({
  settings: [{ PILOTHOUSE_POLICY: POLICY, PILOTHOUSE_DOCKER: way.socket }, { scope: 'worker' }],
});

test.beforeAll(async () => {
  await way.opens();
  await makeImages();
});
test.afterAll(async () => way.closes());

const docker = (...args: string[]) => run('docker', args);

/** Ids of the containers of a slot of a service. */
const slot = (demo: Demo, colour: string): Promise<string[]> =>
  containers(`${demo.pilothouse.prefix}-demo-local-${demo.name}-${colour}`);

/** A process ends, as by a fault of its own: the engine starts it again. */
async function crash(container: string): Promise<void> {
  process.kill(Number(await docker('inspect', '--format', '{{.State.Pid}}', container)), 'SIGKILL');
}

const rows = async (demo: Demo): Promise<string> =>
  JSON.stringify(await demo.person.call('history/page', { service: demo.name, project: 'demo' }));

test('one of three that dies while it is verified or observed: no switch, or back', async ({ pilothouse }) => {
  test.setTimeout(150_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'three', { size: '3' });
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(v1));
  expect((await slot(demo, 'blue')).length).toBe(3);
  const load = Load.start(demo.url(), { rate: 100 });

  const verified = await demo.deploys(v2);
  // Known before, because verifying lasts for some seconds only.
  let green: string[] = [];
  await until('green is started', 30, async () => (green = await slot(demo, 'green')).length === 3);
  await demo.reaches(verified, 'verifying');
  await docker('kill', green[1]);
  await demo.ends(verified, 'failed');
  expect(await demo.phases(verified)).not.toContain('switching');
  expect(await slot(demo, 'green')).toEqual([]);

  const observed = await demo.deploys(v2);
  await demo.reaches(observed, 'observing');
  await crash((await slot(demo, 'green'))[0]);
  const killed = Date.now();
  const state = await demo.ends(observed, 'rolled_back');
  console.log(`back ${Date.parse(state.evidence.back_confirmed_at!) - killed} ms after the crash: ${state.ending?.why}`);

  const third = await demo.deploys(v2);
  await demo.reaches(third, 'observing');
  await docker('kill', (await slot(demo, 'green'))[2]);
  await demo.ends(third, 'rolled_back');

  const report = await load.stop();
  console.log(`three: ${report.failed} of ${report.sent} failed`, report.failures.slice(0, 3), report.websockets, report.events);
  expect((await demo.cell()).live?.release.name).toBe('1.0.0');
});

test('abort right after start, and of two starts one wins', async ({ pilothouse }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'twice');
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(v1));

  const rollout = await demo.deploys(v2);
  await ana.call('rollouts/ask', { rollout, ask: 'abort', reason: 'too quick' });
  await demo.ends(rollout, 'aborted');

  const { placement, newest } = await demo.cell();
  const start = () => ana.call<string>('rollouts/start', { placement, release: v2, newest: newest ?? '', reason: '' });
  const both = await Promise.allSettled([start(), start()]);
  const won = both.filter((one) => one.status === 'fulfilled');
  const lost = both.find((one) => one.status === 'rejected');
  expect(won.length).toBe(1);
  expect((lost?.reason as Refusal).status).toBe(409);
  await demo.ends((won[0] as PromiseFulfilledResult<string>).value);
});

test('a control plane that slept past its lease, an engine that is away and a dead Postgres', async ({ pilothouse }) => {
  test.setTimeout(200_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'asleep');
  const releases = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(releases[0]));
  const load = Load.start(demo.url(), { rate: 100, seconds: 190 });
  let turn = 0;

  for (const phase of ['verifying', 'observing']) {
    const rollout = await demo.deploys(releases[++turn % 2]);
    await demo.reaches(rollout, phase);
    pilothouse.signalConsole('SIGSTOP');
    await sleep(12_000);
    pilothouse.signalConsole('SIGCONT');
    const state = await demo.ends(rollout);
    expect(await demo.phases(rollout), `asleep in ${phase}`).toEqual(GOOD);
    console.log(`asleep in ${phase}:`, state.evidence.switched_in_ms, 'ms', state.evidence.requests, state.evidence.failures);
  }

  for (const phase of ['verifying', 'observing']) {
    const rollout = await demo.deploys(releases[++turn % 2]);
    await demo.reaches(rollout, phase);
    await way.closes();
    await sleep(5000);
    await way.opens();
    await demo.ends(rollout);
    expect(await demo.phases(rollout), `no engine in ${phase}`).toEqual(GOOD);
  }

  const rollout = await demo.deploys(releases[++turn % 2]);
  await demo.reaches(rollout, 'verifying');
  const found = await run('find', [pilothouse.data, '-name', 'postmaster.pid']);
  process.kill(Number(readFileSync(found, 'utf8').split('\n')[0]), 'SIGKILL');
  await demo.ends(rollout);
  expect(await demo.phases(rollout), 'Postgres died').toEqual(GOOD);

  const report = await load.stop();
  console.log(`asleep: ${report.failed} of ${report.sent} failed`, report.failures.slice(0, 3), report.websockets, report.events);
  expect(report.failed).toBe(0);
});

test('what a hand removes is restored, what is a stranger stays, what is left over goes', async ({ pilothouse }) => {
  test.setTimeout(120_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'hands', { size: '2' });
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const before = await slot(demo, 'blue');
  const stranger = await docker('run', '-d', '--name', `${pilothouse.prefix}-demo-local-stranger`, IMAGES.v1);
  const labels = JSON.parse(await docker('inspect', '--format', '{{json .Config.Labels}}', before[0]));
  const other = { ...labels, 'pilothouse.slot': 'green', 'pilothouse.maker': '01900000-0000-7000-8000-000000000001' };
  const flags = Object.entries(other).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const stray = await docker('run', '-d', '--name', `${pilothouse.prefix}-demo-local-stray`, ...flags, IMAGES.v2);

  await docker('rm', '--force', before[0]);
  await until('two run again', 30, async () => {
    const now = await slot(demo, 'blue');
    return now.length === 2 && !now.includes(before[0]);
  });
  await until('the stray is gone', 30, async () => !(await docker('ps', '-aq', '--no-trunc')).includes(stray));

  expect(await docker('inspect', '--format', '{{.State.Running}}', stranger)).toBe('true');
  const said = await rows(demo);
  expect(said).toContain('restored 1 of blue');
  expect(said).toContain('left over in green');
  expect(await demo.get('/version')).toContain('1.0.0');
});

test('a live slot that grows, is mended and shrinks loses no request', async ({ pilothouse }) => {
  test.setTimeout(120_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'grows', { start_period: '15' });
  await demo.ends(await demo.deploys(await demo.release(IMAGES.slow)));
  const load = Load.start(demo.url(), { rate: 200 });
  const { placement } = await demo.cell();
  const host = new URL(demo.url()).hostname;
  const sized = async (size: number) => {
    await ana.call('services/edit-placement', { placement, size: String(size), host_names: host });
    await until(`${size} run`, 30, async () => (await slot(demo, 'blue')).length === size);
    // Until the last one is ready, and a while longer.
    await sleep(4000);
  };

  await sized(3);
  const [removed] = await slot(demo, 'blue');
  await docker('rm', '--force', removed);
  await until('it is made again', 30, async () => (await slot(demo, 'blue')).length === 3);
  await sleep(4000);
  await sized(1);

  const report = await load.stop();
  // What the removed one was just answering died with it; nothing else did.
  console.log(`grows: ${report.failed} of ${report.sent} failed`, report.failures.slice(0, 5), report.websockets, report.events);
  expect(report.failed).toBeLessThanOrEqual(4);
});

async function putsBack(page: Page, placement: Locator): Promise<void> {
  await placement.getByRole('button', { name: 'Put it back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Put it back' }).click();
  await expect(page.getByRole('dialog')).toBeHidden();
}

test('the glass is broken on a settled placement, and while it is observed', async ({ pilothouse, page, context }) => {
  test.setTimeout(180_000);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'glass');
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  await demo.ends(await demo.deploys(v1));
  await demo.ends(await demo.deploys(v2));
  const host = new URL(demo.url()).hostname;
  const hand = (to: string) =>
    run(PROGRAMS.router, ['switch', '--state-dir', join(pilothouse.data, 'router'), '--reason', 'the pager', host, to]);

  await hand('blue');
  await until('it is adopted', 20, async () => (await demo.cell()).live?.release.name === '1.0.0');
  expect((await demo.cell()).warm?.release.name).toBe('2.0.0');
  await ana.enters(context);
  await page.goto('/projects/demo/services/glass');
  const placement = page.getByRole('listitem', { name: 'local' });
  await expect(placement).toContainText('the pager');
  await putsBack(page, placement);
  await until('it is back', 30, async () => (await demo.cell()).live?.release.name === '2.0.0');
  await demo.ends((await demo.cell()).newest!);

  // Sent nowhere: nothing has to be started to have it back.
  const before = await slot(demo, 'green');
  await hand('none');
  await until('it is told', 20, async () => !!(await demo.cell()).drift?.includes('withdrawn'));
  // The page of the rollout that put it back is where the click had led.
  await page.goto('/projects/demo/services/glass');
  await expect(placement).toContainText('withdrawn');
  await putsBack(page, placement);
  await until('it answers', 30, async () => (await demo.get('/version')).includes('2.0.0'));
  await demo.ends((await demo.cell()).newest!);
  expect(await slot(demo, 'green')).toEqual(before);
  await until('nothing differs', 20, async () => (await demo.cell()).drift === null);

  const rollout = await demo.deploys(v1);
  await demo.reaches(rollout, 'observing');
  const { live } = await demo.cell();
  await hand(live?.release.name === '2.0.0' ? live.slot : 'green');
  await until('it is errored', 20, async () => (await demo.state(rollout)).trouble?.is === 'foreign_hand');
  expect(await demo.get('/version')).toContain('2.0.0');
  await ana.call('rollouts/ask', { rollout, ask: 'abort', reason: 'seen' });
  await demo.ends(rollout, 'rolled_back');
  expect(await demo.get('/version')).toContain('2.0.0');
});
