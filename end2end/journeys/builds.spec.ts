// From a git address to a release that runs; what a build writes, seen by two; cancelled, failed,
// waiting, interrupted; and who may.

import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import { Demo, QUICK } from '../support/demo.ts';
import { exampleFiles, GitServer, shellImage, stagedFiles, type Repository } from '../support/git.ts';
import { run, until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { Registry, ROBOT } from '../support/registry.ts';
import { expect, hydrated, test as base } from '../support/test.ts';

let git: GitServer;
let shell: string;

/** With a git server of this machine, which the program trusts and may ask. */
const test = base.extend<object, { pilothouse: Pilothouse }>({
  pilothouse: [
    async ({}, use) => {
      git = await GitServer.start();
      shell = await shellImage();
      const { Pilothouse } = await import('../support/pilothouse.ts');
      const allow = `${git.settings.PILOTHOUSE_OUTGOING_ALLOW},127.0.0.1`;
      const pilothouse = await Pilothouse.start({ ...QUICK, ...git.settings, PILOTHOUSE_OUTGOING_ALLOW: allow });
      try {
        await use(pilothouse);
      } finally {
        await pilothouse.remove();
        await git.stop();
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

interface BuildPage {
  row: {
    id: string;
    number: number;
    phase: string;
    before_it: number | null;
    release: { id: string; name: string } | null;
    ending: { step?: string; why: string } | null;
  };
  deploys: { rollout: string | null; refused: string | null }[];
  log: { lines: { text: string }[] } | null;
}

const ENDS = ['succeeded', 'failed', 'cancelled', 'interrupted'];
/** A step that lasts as long as a test needs it, and can be told from all other processes. */
const lasting = (mark: number) => `echo begun ${mark} && sleep ${mark}`;

/** Does nothing, and makes a step another one than in every run before: what is cached writes nothing. */
const anew = `: ${randomUUID()} &&`;

class Built {
  private constructor(
    readonly demo: Demo,
    readonly repository: Repository,
  ) {}

  /** A service with a source. */
  static async add(pilothouse: Pilothouse, person: Person, name: string, files: Parameters<GitServer['repository']>[1], budget = ''): Promise<Built> {
    const repository = await git.repository(name, files);
    const demo = await Demo.add(pilothouse, person, name);
    await person.call('builds/edit-source', {
      ...{ service: demo.service, url: repository.url, default_ref: 'main', folder: '', file: '', stage: '' },
      ...{ arguments: '', platform: '', size_budget_mib: budget },
    });
    return new Built(demo, repository);
  }

  starts(at = ''): Promise<string> {
    return this.demo.person.call<string>('builds/start', { service: this.demo.service, git_ref: at });
  }
}

const seen = (person: Person, id: string) => person.call<BuildPage>('builds/page', { id });

async function ends(person: Person, id: string, phase: string, seconds = 60): Promise<BuildPage> {
  let page: BuildPage | undefined;
  await until(`build ${id} ends`, seconds, async () => {
    page = await seen(person, id);
    return ENDS.includes(page.row.phase);
  });
  expect(page?.row.phase, JSON.stringify(page?.row.ending)).toBe(phase);
  return page as BuildPage;
}

const wrote = (person: Person, id: string, words: string) =>
  until(`build ${id} writes ${words}`, 30, async () => !!(await seen(person, id)).log?.lines.some((line) => line.text.includes(words)));

/** Whether a process with this among its arguments runs on the machine. */
async function runs(argument: string): Promise<boolean> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.split('\0').includes(argument)) return true;
  }
  return false;
}

const step = (page: Page, name: string): Locator => page.locator('details.step').filter({ has: page.locator('summary', { hasText: name }) });

/** Processes that work in a directory. */
async function worksIn(directory: string): Promise<number> {
  let count = 0;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (cwd.startsWith(directory)) count += 1;
  }
  return count;
}

/** Everywhere that values must not be; bytes of a dump are hexadecimal. */
async function areNowhere(pilothouse: Pilothouse, ana: Person, values: string[], build: string, places: Record<string, string>): Promise<void> {
  const dump = await run('pg_dump', ['--host', join(pilothouse.data, 'postgres', 'socket'), '--username', 'postgres', '--inserts', 'pilothouse']);
  expect(dump).toContain('build_secret_versions');
  const all: Record<string, string> = { ...places, database: dump };
  for (const [name, path] of pilothouse.logs()) all[name] = await readFile(path, 'utf8');
  for (const path of [`/builds/${build}`, `/builds/${build}/log`, '/projects/demo/services/sealed/source', '/history', '/history/export.jsonl']) {
    all[path] = await (await ana.fetch(path, { headers: { accept: 'text/html' } })).text();
  }
  all.history = JSON.stringify(await ana.call('history/page'));
  for (const value of values) {
    for (const form of [value, Buffer.from(value).toString('hex'), Buffer.from(value).toString('base64')]) {
      for (const [place, text] of Object.entries(all)) expect(text.includes(form), `${value.slice(0, 4)}… in ${place}`).toBe(false);
    }
  }
}

test('two people: from a git address to what runs, in one go', async ({ pilothouse, page, another }) => {
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'deployer');
  const demo = await Demo.add(pilothouse, ana, 'api');
  const files = stagedFiles('1.0.0', shell, [`${anew} echo -e "\\033[1;32mgreen\\033[0m light" && sleep 2`, 'echo second']);
  const repository = await git.repository('api', files);
  await repository.tag('v1.0.0');
  await repository.commit('Try something', { 'notes.txt': 'x' }, 'feature/retry');
  await ana.enters(page.context());
  const second = await another();
  await bo.enters(second.context());
  await second.goto('/builds');
  await hydrated(second);

  await page.goto('/projects/demo/services/api');
  await hydrated(page);
  await page.getByRole('link', { name: 'Give it a source' }).click();
  await page.getByLabel('Look at').fill(repository.url);
  await page.getByRole('button', { name: 'What would be built?' }).click();
  await expect(page.getByText(/Dockerfile lies in the repository/)).toBeVisible();
  await page.getByRole('link', { name: 'Put this into the settings' }).click();
  await expect(page.getByLabel('Git address')).toHaveValue(repository.url);
  await hydrated(page);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page).toHaveURL(/services\/api$/);
  await page.getByRole('link', { name: 'source and recipe' }).click();
  await page.getByRole('button', { name: 'Which branches and tags?' }).click();
  const offered = page.getByRole('navigation', { name: 'Branches and tags' });
  await expect(offered.getByRole('link', { name: 'feature/retry' })).toBeVisible();
  await expect(offered.getByRole('link', { name: 'v1.0.0' })).toBeVisible();
  await hydrated(page);

  await page.getByRole('button', { name: 'Build …', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Build api', exact: true });
  await dialog.getByLabel('Branch, tag or commit').fill('v1.0.0');
  await dialog.getByLabel('And then').selectOption({ label: 'deploy it to local' });
  await dialog.getByRole('button', { name: 'Build', exact: true }).click();
  await expect(page).toHaveURL(/\/builds\/[0-9a-f-]{36}$/);
  const id = page.url().split('/').at(-1)!;

  await second.getByRole('link', { name: 'Watch' }).click();
  for (const at of [page, second]) {
    await expect(at.locator('.steps-log .ink-green.bold', { hasText: 'green' })).toBeVisible({ timeout: 30_000 });
  }
  // What was written before is there again after a reload, and what comes is added to it.
  await second.reload();
  await hydrated(second);
  await expect(second.locator('.steps-log')).toContainText('green light');
  const built = await ends(ana, id, 'succeeded');
  expect(built.row.release?.name).toBe('v1.0.0');
  for (const at of [page, second]) {
    await expect(at.getByRole('link', { name: 'Deploy v1.0.0 …' })).toBeVisible();
    // What is done is folded; one opens it, and it stays open.
    const first = step(at, 'green');
    await expect(first).not.toHaveAttribute('open');
    await first.locator('summary').click();
    await expect(first.getByText('green light')).toBeVisible();
    await expect(first.locator('.took')).toHaveText(/^\d/);
  }

  await until('it is rolled out', 60, async () => (await demo.cell()).live?.release.name === 'v1.0.0');
  expect(await demo.get('/version')).toContain('1.0.0');
  await page.goto(`/releases/${built.row.release!.id}`);
  await expect(page.getByRole('link', { name: 'build 1', exact: true })).toBeVisible();
  await expect(page.getByText(repository.url)).toBeVisible();
});

test('the page of the next environment tells the commits that would come there', async ({ pilothouse, page, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'onward', exampleFiles('1.0.0'));
  const { demo, repository } = built;
  // What a release is called is what its health has to say.
  const release = async (version: string) => {
    await repository.tag(version);
    return (await ends(ana, await built.starts(version), 'succeeded')).row.release!;
  };
  const shows = async () => {
    await page.goto('/projects/demo/services/onward/promote/staging');
    await hydrated(page);
    return page.getByRole('region', { name: 'Commits' });
  };
  const first = await release('v1.0.0');
  await demo.ends(await demo.deploys(first.id));
  await ana.enters(page.context());
  await expect((await shows()).getByRole('listitem')).toHaveText([/Begin/]);
  await expect(page.getByText('What is live there was not built here')).toHaveCount(0);
  await demo.ends(await demo.deploys(first.id, 'staging'));

  const between = await repository.commit('Count what was greeted', exampleFiles('1.0.1'));
  await release('v1.0.1');
  const last = await repository.commit('Greet <b>loudly</b>', exampleFiles('1.1.0'));
  await demo.ends(await demo.deploys((await release('v1.1.0')).id));
  const commits = await shows();
  await expect(commits.getByRole('listitem')).toHaveText([
    new RegExp(`^${last.slice(0, 7)} ?Greet <b>loudly</b> ?build 3$`),
    new RegExp(`^${between.slice(0, 7)} ?Count what was greeted ?build 2$`),
    /Begin, live there now ?build 1$/,
  ]);
  await looksGood(page, 'promotion');
});

test('a build is cancelled really, searched and taken away; another names the step that failed', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'stops', stagedFiles('1.0.0', shell, [`${anew} echo early words`, lasting(31747)]));
  const id = await built.starts();
  await ana.enters(page.context());
  await page.goto(`/builds/${id}`);
  await hydrated(page);
  await expect(page.getByText('begun 31747', { exact: true })).toBeVisible({ timeout: 30_000 });
  expect(await runs('31747')).toBe(true);

  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await page.getByRole('button', { name: 'Cancel the build' }).click();
  await ends(ana, id, 'cancelled', 15);
  await expect(page.getByRole('heading', { name: 'It was cancelled' })).toBeVisible();
  await until('the process is gone', 5, async () => !(await runs('31747')));

  await page.getByLabel('Words to find in the log').fill('EARLY');
  await page.getByRole('button', { name: 'Find' }).click();
  await expect(page.locator('.lines mark').first()).toHaveText(/early/i);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download' }).click();
  expect(await readFile(await (await download).path(), 'utf8')).toContain('begun 31747');

  await built.repository.commit('Break it', stagedFiles('1.0.1', shell, [`${anew} echo nearly there`, 'echo no such thing >&2 && exit 3']));
  const failed = await ends(ana, await built.starts(), 'failed');
  expect(failed.row.ending?.step).toContain('exit 3');
  await page.goto(`/builds/${failed.row.id}`);
  await expect(page.getByRole('heading', { name: 'This step failed' })).toBeVisible();
  await expect(page.locator('.why-card .step-name')).toContainText('exit 3');
  await expect(page.locator('details.step.failed')).toContainText('no such thing');
  expect(failed.row.release).toBeNull();
});

test('a private repository and base image, a secret, a push: it becomes a release, and no value is anywhere', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const chris = await ana.adds('Chris', 'deployer');
  const registry = await Registry.start();
  try {
    const secret = `s3cr3t-${randomBytes(12).toString('hex')}`;
    const base = await registry.push(shell, 'demo/base:1');
    const reads = 'wc -c < /run/secrets/npm_token && cat /run/secrets/npm_token';
    const repository = await git.repository('sealed', stagedFiles('2.1.0', base, [`--mount=type=secret,id=npm_token ${anew} ${reads}`]));
    await repository.tag('v2.1.0');
    const demo = await Demo.add(pilothouse, ana, 'sealed');
    const url = `${git.url}/private/sealed.git`;
    await chris.call('builds/edit-source', { service: demo.service, url, default_ref: 'main' });
    const known = await ana.call<string>('registries/add', { name: 'company', address: registry.address, ...ROBOT });
    await chris.call('registries/set-rule', { service: demo.service, registry: known, path: 'demo/sealed', tags: '{version}\n{branch}', after_build: 'yes' });

    await chris.enters(page.context());
    await page.goto('/projects/demo/services/sealed/source');
    await hydrated(page);
    await page.getByRole('button', { name: 'Which branches and tags?' }).click();
    await expect(page.getByText('Give a user and a token that may read it')).toBeVisible({ timeout: 15_000 });
    await hydrated(page);
    const signsIn = async (token: string) => {
      await page.getByRole('button', { name: 'Change the login' }).click();
      const dialog = page.getByRole('dialog', { name: /^Change who reads/ });
      await dialog.getByLabel('User name').fill('reader');
      await expect(dialog.getByLabel('Token or password')).toHaveValue('');
      await dialog.getByLabel('Token or password').fill(token);
      await dialog.getByRole('button', { name: 'Store the login' }).click();
      await expect(dialog).toBeHidden();
      await expect(page.getByText('The login was stored.')).toBeVisible();
    };
    await signsIn('not-the-token-19');
    await page.getByRole('button', { name: 'Which branches and tags?' }).click();
    await expect(page.getByText('the user or token is wrong')).toBeVisible({ timeout: 15_000 });
    await hydrated(page);
    await signsIn('let-me-read');

    const secrets = page.getByRole('region', { name: 'Secrets of its builds' });
    await secrets.getByText('New secret').click();
    await secrets.getByLabel('Name').fill('npm_token');
    await secrets.getByLabel('Value').fill(secret);
    await secrets.getByRole('button', { name: 'Set', exact: true }).click();
    await expect(secrets.getByText('version 1, set by Chris')).toBeVisible();

    // What will be pushed is said before anything is built.
    await page.getByRole('button', { name: 'Build …', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Build sealed', exact: true });
    await expect(dialog.getByText(`${registry.address}/demo/sealed`)).toBeVisible();
    await expect(dialog.getByText('main', { exact: true })).toBeVisible();
    await dialog.getByLabel('Branch, tag or commit').fill('refs/tags/v2.1.0');
    await expect(dialog.getByText('2.1.0', { exact: true })).toBeVisible();
    await dialog.getByRole('button', { name: 'Build', exact: true }).click();
    await expect(page).toHaveURL(/\/builds\/[0-9a-f-]{36}$/);
    const id = page.url().split('/').at(-1)!;
    const built = await ends(ana, id, 'succeeded');
    await page.goto(`/releases/${built.row.release!.id}`);
    await expect(page.getByRole('region', { name: 'In registries' })).toContainText(`${registry.address}/demo/sealed@sha256:`);

    expect(await registry.digest('demo/sealed', '2.1.0')).toMatch(/^sha256:/);
    const log = await (await ana.fetch(`/builds/${id}/log`)).text();
    expect(log).toContain(`${secret.length}`);
    for (const said of ['•••', `Pushing to ${registry.address}/demo/sealed as 2.1.0`]) expect(log).toContain(said);
    const history = JSON.stringify(await ana.call('history/page'));
    for (const said of ['the secret npm_token version 1', `the login of ${registry.address}`, 'used the login at ']) expect(history).toContain(said);
    const release = await ana.call<{ facts: { id: string } }>('releases/page', { id: built.row.release!.id });
    const image = release.facts.id;
    const saved = join(pilothouse.data, 'saved.tar');
    await run('docker', ['save', '--output', saved, image]);
    const places = {
      image: await readFile(saved, 'latin1'),
      'its history': await run('docker', ['image', 'history', '--no-trunc', image]),
      'what it is': await run('docker', ['image', 'inspect', image]),
    };
    await areNowhere(pilothouse, ana, [secret, 'let-me-read', 'not-the-token-19', ROBOT.password], id, places);

    // Without its secret the step fails, and says so.
    await secretIsGone(chris, demo);
    const without = await ends(ana, await chris.call<string>('builds/start', { service: demo.service, git_ref: '', no_cache: 'yes' }), 'failed');
    expect(without.row.ending?.step).toContain('npm_token');
  } finally {
    await registry.remove();
  }
});

const secretIsGone = (person: Person, demo: Demo) => person.call('builds/remove-secret', { service: demo.service, name: 'npm_token', based_on: '1' });

test('two run side by side, the third waits and is seen to', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'crowd', stagedFiles('1.0.0', shell, [lasting(31748)]));
  const ids = [await built.starts(), await built.starts(), await built.starts()];
  await wrote(ana, ids[0], 'begun');
  await wrote(ana, ids[1], 'begun');
  await ana.enters(page.context());
  await page.goto('/builds?project=demo&service=crowd');
  await hydrated(page);
  const rows = page.locator('.queue > li');
  await expect(rows).toHaveCount(3);
  await expect(rows.nth(2)).toContainText('waits');
  await expect(rows.nth(2)).toContainText('it is next');

  await ana.call('builds/cancel', { build: ids[0] });
  await expect(rows).toHaveCount(2);
  await wrote(ana, ids[2], 'begun');
  await expect(page.getByText('waits', { exact: true })).toHaveCount(0);
  for (const id of ids.slice(1)) await ana.call('builds/cancel', { build: id });
  for (const id of ids) await ends(ana, id, 'cancelled', 15);
});

test('a control plane that is killed while it fetches leaves neither git nor files', async ({ pilothouse, page, consoleWatch }) => {
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live/);
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'slowly', { ...exampleFiles('1.0.0'), noise: randomBytes(8 << 20) });
  const slow = built.repository.url.replace('/slowly.git', '/slow/slowly.git');
  const points = (url: string) => ana.call('builds/edit-source', { service: built.demo.service, url, default_ref: 'main' });
  await points(slow);
  const fetching = await built.starts();
  const directory = join(pilothouse.data, 'builds');
  await until('the pack is on its way', 20, async () => git.asked.filter((line) => line.startsWith('POST /slow/')).length >= 3 && (await worksIn(directory)) > 0);
  expect((await seen(ana, fetching)).row.phase).toBe('fetching');
  await ana.enters(page.context());
  await page.goto(`/builds/${fetching}`);
  await hydrated(page);
  await pilothouse.stopConsole('SIGKILL');
  await until('git is gone', 10, async () => (await worksIn(directory)) === 0);
  await pilothouse.startConsole();

  await ends(ana, fetching, 'interrupted', 30);
  await expect(page.getByRole('heading', { name: 'It was interrupted' })).toBeVisible({ timeout: 15_000 });
  await until('its files are gone', 5, async () => (await leftIn(directory)).length === 0);
  await points(built.repository.url);
  await ends(ana, await built.starts(), 'succeeded');
});

/** What lies in the directory of builds: trees, and what git needed. */
async function leftIn(directory: string): Promise<string[]> {
  const names = async (path: string) => readdir(path).catch((): string[] => []);
  return [...(await names(directory)).filter((name) => name !== 'git'), ...(await names(join(directory, 'git')))];
}

test('a control plane that is killed leaves no build that nobody knows of', async ({ pilothouse, page, consoleWatch }) => {
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live/);
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'killed', stagedFiles('1.0.0', shell, [lasting(31749)]));
  const building = await built.starts();
  await wrote(ana, building, 'begun');
  await ana.enters(page.context());
  await page.goto(`/builds/${building}`);
  await hydrated(page);
  await pilothouse.stopConsole('SIGKILL');
  await pilothouse.startConsole();

  const ended = await ends(ana, building, 'interrupted', 30);
  expect(ended.row.ending?.why).toBeTruthy();
  await expect(page.getByRole('heading', { name: 'It was interrupted' })).toBeVisible({ timeout: 15_000 });
  await until('what it ran is gone', 10, async () => !(await runs('31749')));
  await built.repository.commit('Mend it', exampleFiles('1.0.1'));
  await ends(ana, await built.starts(), 'succeeded');
});

test('a viewer sees builds and builds nothing; whoever loses his role hears no more', async ({ pilothouse, page, another, consoleWatch }) => {
  consoleWatch.expect(/status of (403|404)/);
  const ana = await Person.admin(pilothouse);
  const built = await Built.add(pilothouse, ana, 'private', stagedFiles('1.0.0', shell, ['for i in $(seq 600); do echo line $i; sleep 0.2; done']), '1');
  const vera = await ana.adds('Vera', 'viewer');
  const id = await built.starts();
  await wrote(ana, id, 'line 3');
  await vera.enters(page.context());
  await page.goto(`/builds/${id}`);
  await hydrated(page);
  await expect(page.getByText(/needs the role deployer/)).toBeVisible();
  await expect(page.getByText('line 3')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Cancel' })).toHaveCount(0);
  await page.goto('/projects/demo/services/private');
  await expect(page.getByRole('button', { name: 'Build …' })).toHaveCount(0);
  for (const [endpoint, fields] of [['builds/start', { service: built.demo.service }], ['builds/cancel', { build: id }], ['builds/log', { id }]] as const) {
    await expect(vera.call(endpoint, fields)).rejects.toMatchObject({ status: 403 });
  }

  const dora = await ana.call<string>('people/add', { name: 'Dora', password: 'a long enough sentence 7' });
  const grant = await ana.call<string>('people/give-grant', { person: dora, role: 'deployer', project: '', environment: '' });
  const second = await another();
  await (await Person.signIn(pilothouse, 'Dora')).enters(second.context());
  await second.goto(`/builds/${id}`);
  await hydrated(second);
  await expect(second.getByText(/^Following/)).toBeVisible();
  await expect(second.locator('.steps-log')).toContainText('line 5');
  await ana.call('people/take-grant', { grant });
  await expect(second.getByText('Not here')).toBeVisible();
  await expect(second.getByText(/^line \d/)).toHaveCount(0);
  await ana.call('builds/cancel', { build: id });
  await ends(ana, id, 'cancelled', 15);
});

test('all of a project at once, and an image over its budget is said on its release', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const large = await Built.add(pilothouse, ana, 'large', exampleFiles('1.0.0'), '1');
  await ana.enters(page.context());
  await page.goto('/projects/demo/builds');
  await hydrated(page);
  for (const path of ['crowd', 'stops', 'killed', 'private']) expect(path).toBeTruthy();
  const id = await large.starts();
  const built = await ends(ana, id, 'succeeded');
  await page.goto(`/builds/${id}`);
  await expect(page.getByText(/Larger than the budget of 1 MiB/)).toBeVisible();
  await page.goto(`/releases/${built.row.release!.id}`);
  await expect(page.getByText('Size within the budget')).toBeVisible();
});

test.describe('without scripts', () => {
  test.use({ javaScriptEnabled: false });

  test('a source is given and built by plain forms, and what is wrong comes back', async ({ pilothouse, page }) => {
    const ana = await Person.admin(pilothouse);
    await Demo.add(pilothouse, ana, 'plain');
    const repository = await git.repository('plain', exampleFiles('1.0.0'));
    await ana.enters(page.context());
    await page.goto('/projects/demo/services/plain/source');
    await page.getByLabel('Git address').fill('git://example.org/x.git');
    await page.getByLabel('Folder', { exact: true }).fill('services/api');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(page.getByLabel('Git address')).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByLabel('Folder', { exact: true })).toHaveValue('services/api');

    await page.getByLabel('Git address').fill(repository.url);
    await page.getByLabel('Folder', { exact: true }).fill('');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(page).toHaveURL(/services\/plain$/);
    await page.getByRole('button', { name: 'Build …', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Build', exact: true }).click();
    await expect(page).toHaveURL(/\/builds\/[0-9a-f-]{36}$/);
    const built = await ends(ana, page.url().split('/').at(-1)!, 'succeeded');
    await page.reload();
    await expect(page.getByRole('link', { name: `Deploy ${built.row.release!.name} …` })).toBeVisible();
    await expect(page.locator('details.step').first()).toBeVisible();
  });
});

test('the pages of builds are drawn for every eye', async ({ pilothouse, page, looksGood }) => {
  const ana = await Person.admin(pilothouse);
  const { rows } = await ana.call<{ rows: { id: string; phase: string }[] }>('builds/list', {});
  const failed = rows.find((row) => row.phase === 'failed')!;
  await ana.enters(page.context());
  await page.goto('/builds?project=demo&state=failed');
  await hydrated(page);
  const listed = page.locator('table.builds tbody tr');
  await expect(listed.filter({ hasText: 'Break it' })).toBeVisible();
  await expect(page.locator('table.builds .outcome:not(.bad)')).toHaveCount(0);
  await page.getByRole('navigation', { name: 'How they stand' }).getByRole('link', { name: 'cancelled' }).click();
  await expect(page).toHaveURL(/project=demo&state=cancelled/);
  await expect(listed.first().locator('.outcome.stopped')).toBeVisible();
  await expect(page.locator('table.builds .outcome:not(.stopped)')).toHaveCount(0);
  const paths: Record<string, string> = {
    builds: '/builds',
    build: `/builds/${failed.id}`,
    'build-all': '/projects/demo/builds',
    source: '/projects/demo/services/sealed/source',
  };
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(path);
    await hydrated(page);
    await looksGood(page, name);
  }
});
