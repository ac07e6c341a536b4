// Who sees which page and may do what, asked of the real program. The expected table is written here,
// not read from the program; every route there is walked in server/tests.

import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { Person, Refusal } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

const ROLES = ['viewer', 'auditor', 'deployer', 'releaser', 'admin'] as const;

/** The columns: somebody of another project, then the roles in order. */
const PAGES: Record<string, number[]> = {
  '/': [200, 200, 200, 200, 200, 200],
  '/account': [200, 200, 200, 200, 200, 200],
  '/environments': [200, 200, 200, 200, 200, 200],
  '/registries': [200, 200, 200, 200, 200, 200],
  '/targets': [200, 200, 200, 200, 200, 200],
  '/targets/01980000-0000-7000-8000-000000000000': [404, 404, 404, 404, 404, 404],
  '/environments/local': [200, 200, 200, 200, 200, 200],
  '/environments/nowhere': [404, 404, 404, 404, 404, 404],
  '/search': [200, 200, 200, 200, 200, 200],
  '/projects': [200, 200, 200, 200, 200, 200],
  '/history': [200, 200, 200, 200, 200, 200],
  '/history/export.csv': [403, 403, 200, 403, 403, 200],
  '/people': [403, 403, 403, 403, 403, 200],
  '/people/{stranger}': [403, 403, 403, 403, 403, 200],
  '/people/invitations': [403, 403, 403, 403, 403, 200],
  '/access': [403, 403, 403, 403, 403, 200],
  '/services/new': [200, 403, 403, 200, 200, 200],
  // What one may not see is not there.
  '/projects/demo': [404, 200, 200, 200, 200, 200],
  '/projects/nothing': [404, 404, 404, 404, 404, 404],
  '/projects/demo/services/ruled': [404, 200, 200, 200, 200, 200],
  '/projects/demo/services/ruled/edit': [404, 200, 200, 200, 200, 200],
  '/projects/demo/services/ruled/releases/new': [404, 200, 200, 200, 200, 200],
  '/projects/demo/services/ruled/source': [404, 200, 200, 200, 200, 200],
  '/projects/demo/builds': [404, 200, 200, 200, 200, 200],
  '/builds': [200, 200, 200, 200, 200, 200],
  '/builds/01980000-0000-7000-8000-000000000000': [404, 404, 404, 404, 404, 404],
  '/projects/demo/services/ruled/configuration': [404, 200, 200, 200, 200, 200],
  '/projects/demo/services/ruled/promote/production': [404, 200, 200, 200, 200, 200],
  '/releases/{release}': [404, 200, 200, 200, 200, 200],
  '/samples/{local}/download': [404, 200, 200, 200, 200, 200],
  '/rollouts/{rollout}': [404, 200, 200, 200, 200, 200],
  '/projects/demo/services/nothing': [404, 404, 404, 404, 404, 404],
  '/nowhere': [404, 404, 404, 404, 404, 404],
};

const FUNCTIONS: [endpoint: string, fields: Record<string, string>, expected: number[]][] = [
  // For those who may: there is nothing warm.
  ['rollouts/end-warmth', { placement: '{local}' }, [404, 403, 403, 409, 409, 409]],
  // It does not run there: for those who may there is nothing to restart.
  ['placements/restart', { placement: '{production}' }, [404, 403, 403, 403, 409, 409]],
  ['placements/remove', { placement: '{production}', typed: 'another' }, [404, 403, 403, 403, 403, 422]],
  ['rollouts/lift-hold', { placement: '{production}' }, [404, 403, 403, 403, 200, 200]],
  ['rollouts/could-i', { placement: '{production}', release: '{release}' }, [404, 403, 403, 403, 200, 200]],
  ['services/edit-placement', { placement: '{local}', size: '1', host_names: 'ruled.example' }, [404, 403, 403, 200, 200, 200]],
  ['configurations/set-secret', { placement: '{local}', name: 'KEY', secret: 'x', based_on: '99' }, [404, 403, 403, 409, 409, 409]],
  ['configurations/set-secret', { placement: '{production}', name: 'KEY', secret: 'x', based_on: '99' }, [404, 403, 403, 403, 409, 409]],
  ['configurations/switch', { placement: '{production}', name: 'A', on: 'yes', based_on: '99' }, [404, 403, 403, 403, 409, 409]],
  ['releases/look-up-image', { service: '{service}', reference: IMAGES.v1 }, [404, 403, 403, 200, 200, 200]],
  ['environments/set-protected', { environment: '{environment}', protected: 'no' }, [403, 403, 403, 403, 403, 200]],
  ['samples/rollout', { id: '{rollout}' }, [404, 200, 200, 200, 200, 200]],
  ['people/page', {}, [403, 403, 403, 403, 403, 200]],
  ['people/add', { name: 'Mallory {role}', password: 'four unrelated words fly' }, [403, 403, 403, 403, 403, 200]],
  ['people/invite', { name: 'Guest {role}', days: '1', role: 'viewer' }, [403, 403, 403, 403, 403, 200]],
  ['people/access', {}, [403, 403, 403, 403, 403, 200]],
  ['targets/add', { name: 't-{role}', secret: 'no kubeconfig' }, [403, 403, 403, 403, 403, 422]],
  ['environments/move', { environment: '{environment}', target: '01980000-0000-7000-8000-000000000000' }, [403, 403, 403, 403, 403, 404]],
  ['environments/add', { name: 'e-{role}', target: '01980000-0000-7000-8000-000000000000' }, [403, 403, 403, 403, 403, 404]],
  // Nobody set it yet, whatever the page said.
  ['builds/set-secret', { service: '{service}', name: 'key', secret: 'x', based_on: '99' }, [404, 403, 403, 409, 409, 409]],
  ['builds/set-login', { service: '{service}' }, [404, 403, 403, 200, 200, 200]],
  ['registries/add', { name: 'r-{role}', address: '{role}.example.org' }, [403, 403, 403, 403, 403, 200]],
  ['registries/stored', { release: '{release}' }, [404, 200, 200, 200, 200, 200]],
  ['registries/set-rule', { service: '{service}' }, [404, 403, 403, 200, 200, 200]],
  ['history/verify', {}, [403, 403, 200, 403, 403, 200]],
];

test('every page and the weightiest acts are for whom the table says', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'ruled');
  const release = await demo.release(IMAGES.v1);
  const rollout = await demo.deploys(release);
  await demo.ends(rollout);
  const elsewhere = await ana.call<string>('services/add', {
    ...{ project: 'elsewhere', name: 'other', image: '', port: '8080', health_path: '/', version_field: '', command: '' },
    ...{ user: '', size: '1', cpu: '1', memory_mib: '64', pids: '64', interval: '1', timeout: '1', start_period: '1', retries: '1' },
  });
  const { environments } = await ana.call<{ environments: { environment: { id: string; name: string } }[] }>('environments/page');
  const { projects } = await ana.call<{ projects: [id: string, name: string][] }>('people/page');
  const project = projects.find(([, name]) => name === 'elsewhere')![0];
  const things: Record<string, string> = {
    ...{ release, rollout, service: demo.service },
    local: (await demo.cell()).placement,
    production: (await demo.cell('production')).placement,
    environment: environments.find(({ environment }) => environment.name === 'local')!.environment.id,
  };
  const named = (text: string, role: string) => text.replace(/\{(\w+)\}/g, (_, name: string) => things[name] ?? role);
  const people = [
    { role: 'stranger', person: await ana.adds('Stranger', 'deployer', project) },
    ...(await Promise.all(ROLES.map(async (role) => ({ role, person: await ana.adds(`The ${role}`, role) })))),
  ];
  const everybody = await ana.call<{ people: { id: string; name: string }[] }>('people/page');
  things.stranger = everybody.people.find((one) => one.name === 'Stranger')!.id;

  const pages: typeof PAGES = {};
  for (const path of Object.keys(PAGES)) {
    pages[path] = await Promise.all(people.map(async ({ role, person }) => (await person.fetch(named(path, role))).status));
  }
  expect(pages).toEqual(PAGES);

  const seen: [string, number[]][] = [];
  for (const [endpoint, fields] of FUNCTIONS) {
    const statuses: number[] = [];
    for (const { role, person } of people) {
      const filled = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, named(value, role)]));
      const status = await person.call(endpoint, filled).then(
        () => 200,
        (refusal: Refusal) => refusal.status,
      );
      statuses.push(status);
    }
    seen.push([endpoint, statuses]);
  }
  expect(seen).toEqual(FUNCTIONS.map(([endpoint, , expected]) => [endpoint, expected]));
  expect(elsewhere).toBeTruthy();

  // Nobody: the way to the sign-in, and from there back to what was asked for.
  const anonymous = (path: string, init?: RequestInit) => fetch(`${pilothouse.url}${path}`, { redirect: 'manual', ...init });
  for (const path of Object.keys(PAGES).filter((path) => !['/nowhere', '/history/export.csv', '/samples/{local}/download'].includes(path))) {
    const answer = await anonymous(named(path, ''));
    expect([path, answer.status, answer.headers.get('location')]).toEqual([
      path,
      expect.any(Number),
      expect.stringContaining(`/sign-in?next=`),
    ]);
    expect([302, 303, 307]).toContain(answer.status);
  }
  for (const [endpoint] of FUNCTIONS) {
    const answer = await anonymous(`/api/${endpoint}`, {
      method: 'POST',
      headers: { origin: pilothouse.url, accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([endpoint, [401, 422].includes(answer.status)]).toEqual([endpoint, true]);
  }
  await page.goto('/people');
  await hydrated(page);
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByLabel('Name').fill('Ana');
  await page.getByLabel('Password').fill('a long enough sentence 7');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'People', exact: true })).toBeVisible();
});
