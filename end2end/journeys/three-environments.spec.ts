// One release through three environments: built from git once, pushed to a real registry once, rolled out on
// Docker, brought to staging and to production on a cluster, and the same to the last byte in all three.

import { containers } from '../support/docker.ts';
import type { Demo } from '../support/demo.ts';
import { exampleFiles, GitServer } from '../support/git.ts';
import { run, until } from '../support/machine.ts';
import { expect, hydrated, NO_CLUSTER, SETTINGS, Site, test as base } from '../support/on-cluster.ts';
import { Person } from '../support/person.ts';
import { Pilothouse } from '../support/pilothouse.ts';
import { byHand } from '../support/policy.ts';

/** With a git server of this machine beside the registry and the cluster. */
const test = base.extend<object, { git: GitServer; pilothouse: Pilothouse }>({
  git: [
    async ({}, use) => {
      const git = await GitServer.start();
      await use(git);
      await git.stop();
    },
    { scope: 'worker' },
  ],
  pilothouse: [
    async ({ git }, use) => {
      const allow = `${git.settings.PILOTHOUSE_OUTGOING_ALLOW},${SETTINGS.PILOTHOUSE_OUTGOING_ALLOW}`;
      const pilothouse = await Pilothouse.start({ ...SETTINGS, ...git.settings, PILOTHOUSE_OUTGOING_ALLOW: allow });
      try {
        await use(pilothouse);
      } finally {
        await pilothouse.remove();
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

test.skip(NO_CLUSTER, 'nothing is tested on Kubernetes here');

// A new installation has a staging and a production on Docker already.
const [STAGING, PRODUCTION] = ['staging', 'production'];

interface Stored {
  digests: { repository: string; digest: string; how: string }[];
}

/** Builds a tag, and returns the release once its image is in the registry. */
async function builds(demo: Demo, tag: string): Promise<string> {
  const id = await demo.person.call<string>('builds/start', { service: demo.service, git_ref: tag });
  let release = '';
  await until(`${tag} is built and pushed`, 60, async () => {
    const { row } = await demo.person.call<{ row: { phase: string; release: { id: string } | null; ending: unknown } }>('builds/page', { id });
    if (['failed', 'cancelled', 'interrupted'].includes(row.phase)) throw new Error(JSON.stringify(row.ending));
    release = row.release?.id ?? '';
    return row.phase === 'succeeded';
  });
  return release;
}

/** The image of every pod of a namespace, by its digest. */
async function images(site: Site, environment: string, slot: string): Promise<string[]> {
  const path = '--output=jsonpath={range .items[*]}{.spec.containers[0].image} {.status.containerStatuses[0].imageID}{"\\n"}{end}';
  const said = await site.cluster.kubectl('--namespace', site.namespace(environment), 'get', 'pods', `--selector=pilothouse/slot=${slot}`, path);
  return said.split('\n').filter(Boolean);
}

test('one release goes through Docker, staging and production, pushed once and the same everywhere', async ({ pilothouse, cluster, registry, git, page, another }) => {
  test.setTimeout(240_000);
  const ana = await Person.admin(pilothouse);
  const rita = await ana.adds('Rita', 'releaser');
  const site = await Site.connect(pilothouse, ana, cluster, registry);
  // Every installation begins with them, on its own machine: they lead to the cluster from now on.
  await cluster.namespace(site.namespace(STAGING));
  await ana.enters(page.context());
  await page.goto(`/environments/${STAGING}`);
  await hydrated(page);
  await page.getByText('Lead it to another target').click();
  await page.getByLabel('Target', { exact: true }).selectOption({ index: 0 });
  await page.getByRole('button', { name: 'Move it' }).click();
  await expect(page.getByText('It leads to another target now.')).toBeVisible();
  await site.takes(PRODUCTION, { 'limits.memory': '1Gi', 'limits.cpu': '8' });
  await byHand(ana, true, PRODUCTION);
  const demo = await site.service('shop', {}, true);
  const repository = await git.repository('shop', exampleFiles('1.0.0'), 'Open the shop');
  await repository.tag('v1.0.0');
  await ana.call('builds/edit-source', {
    ...{ service: demo.service, url: repository.url, default_ref: 'main', folder: '', file: '', stage: '' },
    ...{ arguments: '', platform: '', size_budget_mib: '' },
  });

  // What is there before: the first version in staging, and other settings for what comes.
  await demo.ends(await demo.deploys(await builds(demo, 'v1.0.0'), STAGING));
  const told = async (environment: string, variables: string, memory: string) => {
    const { placement } = await demo.cell(environment);
    await ana.call('services/change-configuration', { placement, variables, based_on: '1', cpu: '1', memory_mib: memory, pids: '64' });
  };
  await told('local', 'GREETING=Good morning\nCOLOUR=blue\nREGION=eu', '64');
  await told(STAGING, 'GREETING=Good evening\nREGION=eu', '96');

  const first = await repository.commit('Say when the shop opens', { 'opening.txt': '9 to 5' });
  const second = await repository.commit('Sell apples', exampleFiles('2.0.0'));
  await repository.tag('v2.0.0');
  const release = await builds(demo, 'v2.0.0');
  const stored = await ana.call<Stored>('registries/stored', { release });
  expect(stored.digests).toHaveLength(1);
  const { repository: pushed, digest } = stored.digests[0];
  expect(pushed).toBe(`${registry.address}/demo/shop`);
  expect(await registry.digest('demo/shop', '2.0.0')).toBe(digest);

  await demo.ends(await demo.deploys(release, 'local', rita));
  expect(await demo.get('/version')).toContain('2.0.0');
  const [container] = await containers(`${pilothouse.prefix}-demo-local-shop-blue`);
  const image = await run('docker', ['container', 'inspect', '--format', '{{.Image}}', container]);
  expect(await registry.content('demo/shop', digest)).toBe(image);

  await test.step('the page for staging says what changes, and its button brings it there', async () => {
    await rita.enters(page.context());
    await page.goto('/projects/demo/services/shop');
    await hydrated(page);
    await page.getByRole('listitem', { name: STAGING }).getByRole('link', { name: 'Bring v2.0.0 here' }).click();
    await expect(page.getByRole('heading', { name: `Bring v2.0.0 to ${STAGING}` })).toBeVisible();
    await expect(page.getByText('It is live in local.')).toBeVisible();
    const region = (name: string) => page.getByRole('region', { name, exact: true });
    const commits = region('Commits').getByRole('listitem');
    await expect(commits).toHaveCount(2);
    await expect(commits.first()).toContainText('Sell apples');
    await expect(commits.first()).toContainText(second.slice(0, 7));
    await expect(commits.last()).toContainText('Open the shop');
    await expect(region('Commits')).not.toContainText(first.slice(0, 7));
    await expect(region('Image')).toContainText('→');
    await expect(region('Image')).toContainText('v1.0.0');
    await expect(region('Settings and limits')).toContainText(/memory.*64.*96/i);
    const variable = (name: string) => region('Variables and secrets').getByRole('listitem').filter({ hasText: name });
    await expect(variable('COLOUR')).toContainText(`only in local: missing in ${STAGING}`);
    await expect(variable('GREETING')).toContainText('another value');
    await expect(variable('REGION')).toContainText('the same');

    await page.getByRole('button', { name: 'Deploy v2.0.0' }).click();
    await page.waitForURL(/\/rollouts\//);
    await expect(page.getByText(`v2.0.0 is live in ${STAGING}`)).toBeVisible({ timeout: 60_000 });
  });

  await test.step('in production it waits for another person, who promotes it', async () => {
    await page.goto(`/projects/demo/services/shop/promote/${PRODUCTION}`);
    await hydrated(page);
    await expect(page.getByText(`It is live in ${STAGING}.`)).toBeVisible();
    await expect(page.getByText(/A person promotes it, within/)).toBeVisible();
    await page.getByRole('button', { name: 'Deploy v2.0.0' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('apples are in season');
    await dialog.getByRole('button', { name: 'Deploy v2.0.0' }).click();
    await page.waitForURL(/\/rollouts\//);
    const rollout = page.url().split('/').at(-1)!;
    await demo.reaches(rollout, 'awaiting_promotion');
    expect(await site.selected(demo, PRODUCTION)).not.toMatch(/blue|green/);

    const others = await another();
    await ana.enters(others.context());
    await others.goto(`/rollouts/${rollout}`);
    await hydrated(others);
    await others.getByRole('button', { name: 'Promote' }).click();
    await others.getByRole('dialog').getByRole('button', { name: 'Promote' }).click();
    for (const at of [page, others]) {
      await expect(at.getByText(`v2.0.0 is live in ${PRODUCTION}`)).toBeVisible({ timeout: 60_000 });
    }
  });

  await test.step('it is the same digest everywhere, pushed once', async () => {
    for (const environment of [STAGING, PRODUCTION]) {
      const { live } = await demo.cell(environment);
      expect(live?.release.id).toBe(release);
      expect(await site.selected(demo, environment)).toBe(live?.slot);
      const run = await images(site, environment, live!.slot);
      expect(run).toHaveLength(1);
      expect(run[0]).toBe(`${registry.address}/demo/shop@${digest} ${registry.address}/demo/shop@${digest}`);
      const address = await site.address(demo, environment);
      expect(await (await fetch(`${address}version`)).text()).toContain('2.0.0');
    }
    expect((await ana.call<Stored>('registries/stored', { release })).digests).toEqual(stored.digests);
  });

  await test.step('the board shows all three, and the history tells one story', async () => {
    await page.goto('/');
    await hydrated(page);
    const row = page.getByRole('row').filter({ hasText: 'shop' });
    await expect(row.getByRole('cell').filter({ hasText: /v2\.0\.0.*(blue|green)/s })).toHaveCount(3);

    type Row = { row: { environment: string | null; sentence: { text: string }[] } };
    const { rows } = await ana.call<{ rows: Row[] }>('history/page', { 'filter[service]': 'shop' });
    const said = rows.map(({ row }) => `${row.environment ?? ''}: ${row.sentence.map(({ text }) => text).join('')}`).reverse();
    let last = -1;
    for (const [environment, words] of [
      ['', 'build 2 is pushing'],
      ['', 'build 2 succeeded: release v2.0.0'],
      ['local', 'deploys shop v2.0.0'],
      ['local', 'made shop v2.0.0 live'],
      [STAGING, 'deploys shop v2.0.0'],
      [STAGING, 'made shop v2.0.0 live'],
      [PRODUCTION, 'deploys shop v2.0.0'],
      [PRODUCTION, 'promoted shop v2.0.0'],
      [PRODUCTION, 'made shop v2.0.0 live'],
    ]) {
      const found = said.findIndex((row, index) => index > last && row.startsWith(`${environment}: `) && row.includes(words));
      expect(found, `${environment}: ${words} in\n${said.join('\n')}`).toBeGreaterThan(last);
      last = found;
    }
    expect(said.filter((row) => row.includes('build 2 is pushing'))).toHaveLength(1);
    await page.goto('/history?filter[service]=shop');
    await hydrated(page);
    await expect(page.getByText('apples are in season').first()).toBeAttached();
  });
});
