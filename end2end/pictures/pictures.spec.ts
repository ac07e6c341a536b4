import { join } from 'node:path';
import { Demo, IMAGES, makeImages } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { ROOT, sleep } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { hydrated, test } from '../support/test.ts';

const POLICY = 'passes=2,observe_for=12s,drain_for=2s,warm_for=15m,verify_within=20s';

test.use({ settings: [{ PILOTHOUSE_POLICY: POLICY }, { scope: 'worker' }] });

test('the pictures of the README', async ({ pilothouse, browser }) => {
  await makeImages();
  const ana = await Person.admin(pilothouse);
  const bo = await ana.adds('Bo', 'releaser');
  const api = await Demo.add(pilothouse, ana, 'api', { size: '2', cpu: '2' });
  const web = await Demo.add(pilothouse, bo, 'web');
  const worker = await Demo.add(pilothouse, ana, 'mailer', { health_path: '/ready', version_field: '' });
  const [v1, v2] = [await api.release(IMAGES.v1), await api.release(IMAGES.v2)];
  const web1 = await web.release(IMAGES.v1);
  const mailer1 = await worker.release(IMAGES.v1);
  for (const environment of ['local', 'staging', 'production']) await api.deploys(v1, environment);
  await web.deploys(web1, 'local', bo);
  await web.deploys(web1, 'staging', bo);
  await worker.ends(await worker.deploys(mailer1));
  await worker.ends(await worker.deploys(await worker.release(IMAGES.unready)), 'failed', 90);
  await api.ends(await api.deploys(v2, 'local').catch(() => api.deploys(v2, 'local')), 'succeeded', 90).catch(() => undefined);
  const load = Load.start(api.url('/', 'production'), { rate: 150, seconds: 60, websockets: 0, events: 0 });
  const rollout = await api.deploys(v2, 'production', bo);
  await api.reaches(rollout, 'observing');
  await sleep(8000);

  for (const scheme of ['light', 'dark'] as const) {
    const pages: [string, string][] = [
      ['rollout', `/rollouts/${rollout}`],
      ['board', '/'],
      ['service', '/projects/demo/services/api'],
      ['history', '/history'],
      ['people', '/people'],
      ['environments', '/environments'],
    ];
    for (const width of [1440, 390]) {
      const context = await browser.newContext({
        baseURL: pilothouse.url,
        colorScheme: scheme,
        viewport: { width, height: width === 1440 ? 900 : 844 },
        deviceScaleFactor: width === 390 ? 2 : 1,
      });
      await ana.enters(context);
      const page = await context.newPage();
      for (const [name, path] of pages) {
        await page.goto(path);
        await hydrated(page);
        await sleep(2500);
        const shown = name === 'board' || name === 'rollout' || name === 'history';
        const folder = shown && width === 1440 && scheme === 'light' ? join(ROOT, 'docs', 'images') : join(ROOT, 'end2end', 'test-results', 'pictures');
        const file = folder.endsWith('images') ? `${name}.png` : `${name}-${scheme}-${width}.png`;
        await page.screenshot({ path: join(folder, file), fullPage: width === 390 });
      }
      await context.close();
    }
  }
  await load.stop();
});
