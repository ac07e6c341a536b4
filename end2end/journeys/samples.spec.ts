// What a service did and used: without a hole where the control plane was killed, the same in charts,
// table and file, on the page of a rollout too, and for nobody who may not see the service.

import { readFile } from 'node:fs/promises';
import { Demo, IMAGES, makeImages, QUICK } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { sleep, until } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });

test.beforeAll(async () => makeImages());

/** A point as it comes: seconds counted, requests, ... seconds metered at 5. */
type Point = number[] | null;

interface Past {
  placement: string;
  course: { span: { from: number; to: number; step: number }; read_to: number; points: [blue: Point, green: Point][] };
  marks: { what: unknown; release: string }[];
}

const RATE = 40;

test('a control plane that was killed leaves no hole in what was counted, in the chart, the table and the file', async ({ pilothouse, page, consoleWatch, looksGood,  }, testInfo) => {
  test.setTimeout(120_000);
  consoleWatch.expect(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|\/live|\/samples/);
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'measured');
  await demo.ends(await demo.deploys(await demo.release(IMAGES.v1)));
  const past = () => ana.call<Past>('samples/service', { project: 'demo', service: 'measured', environment: 'local', range: '15m' });
  const requests = (point: Point) => (point ? point[1] : 0);
  const load = Load.start(demo.url(), { rate: RATE, websockets: 0, events: 0 });
  const began = Math.floor(Date.now() / 1000) + 1;
  await ana.enters(page.context());
  await page.goto('/projects/demo/services/measured');
  await hydrated(page);
  const section = page.getByRole('region', { name: 'Traffic and use' });
  const slider = section.getByLabel('Moment');
  // Live: what is asked now is in the chart without asking for the page again.
  await expect(section.locator('figure').first()).toContainText(/(3[5-9]|4[0-5]) \/s/, { timeout: 15_000 });
  await until('some seconds under load', 10, async () => Date.now() / 1000 > began + 6);

  await pilothouse.stopConsole('SIGKILL');
  const killed = Math.floor(Date.now() / 1000);
  // Nobody is there to be asked: this is how long it is away.
  await sleep(6_000);
  await pilothouse.startConsole();
  const back = Math.floor(Date.now() / 1000);
  expect(back - killed).toBeGreaterThanOrEqual(6);
  await until('it keeps what it missed', 20, async () => (await past()).course.read_to > back + 4);

  const { course, marks } = await past();
  const { from, step } = course.span;
  const steps = course.points
    .map(([blue], index) => ({ at: from + index * step, blue }))
    .filter(({ at }) => at > began + 1 && at + step <= back + 2);
  expect(steps.length).toBeGreaterThanOrEqual(5);
  for (const { at, blue } of steps) {
    expect(blue?.[0], `each second is counted at ${at}, killed at ${killed}, back at ${back}`).toBe(step);
    expect(Math.abs(requests(blue) - RATE * step), `and once: ${blue} at ${at}`).toBeLessThan(RATE * step * 0.4);
  }
  const away = steps.filter(({ at }) => at > killed && at + step <= killed + 6);
  expect(away.length).toBeGreaterThanOrEqual(1);
  expect(away.map(({ blue }) => blue?.[5]), 'what was used meanwhile nobody knows').toEqual(away.map(() => 0));
  expect(marks.map(({ release }) => release)).toEqual(['1.0.0', '1.0.0']);

  // The page that was open all the time has it, too, once the stream is back.
  await expect(page.getByRole('banner').getByText(/^live/)).toBeVisible({ timeout: 15_000 });
  await expect(section.getByText(/^No CPU and memory from .* Pilothouse did not run; requests were counted by the router/)).toBeVisible({
    timeout: 15_000,
  });
  const report = await load.stop();
  expect(report.failed).toBe(0);

  // The cursor is a slider: by keys, and each figure says what is there. What was heard while one
  // looked has an estimate of its p95 until it is read again: both are asked for what was read.
  await page.reload();
  await hydrated(page);
  await slider.focus();
  await page.keyboard.press('End');
  for (let times = 0; times < 8; times++) await page.keyboard.press('ArrowLeft');
  const said = (await slider.getAttribute('aria-valuetext'))!;
  expect(said).toMatch(/^\d\d:\d\d:\d\d: Requests blue \d+ \/s; Failures blue 0; p95 blue [\d.]+ ms; CPU blue [\d.]+ %; Memory blue \d+ [KM]iB$/);
  await expect(section.locator('line.hair')).toHaveCount(5);
  // It stays at its moment while time goes on.
  const { read_to } = (await past()).course;
  await until('three seconds later', 10, async () => (await past()).course.read_to >= read_to + 3);
  await expect(slider).toHaveAttribute('aria-valuetext', said);
  await expect(section.locator('rect.b')).toHaveCount(5);
  await expect(section.getByRole('list', { name: 'What happened' }).getByRole('link')).toHaveText([
    'rollout of 1.0.0 was asked for',
    'traffic switched to 1.0.0 in blue',
  ]);

  await looksGood(page, 'samples', section);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.keyboard.press('Escape');
  await expect(section.locator('line.hair')).toHaveCount(0);

  // The table has the same figures under the same time.
  const table = section.getByRole('table', { name: /^Figures in local/ });
  await section.getByRole('link', { name: 'as a table' }).click();
  await expect(page).toHaveURL(/as=table/);
  const row = table.getByRole('row', { name: new RegExp(`^${said.slice(0, 8)}`) });
  const cells = await row.getByRole('cell').allTextContents();
  const figures = [...said.matchAll(/blue ([^;]+)/g)].map(([, figure]) => figure);
  expect(cells.slice(0, 5)).toEqual(figures);
  await section.screenshot({ path: testInfo.outputPath('samples-table.png') });
  const download = page.waitForEvent('download');
  await section.getByRole('link', { name: 'Download as CSV' }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe('demo-measured-local-15m.csv');
  const lines = (await readFile(await file.path(), 'utf8')).trim().split('\n');
  expect(lines[0]).toMatch(/^time,seconds,slot,requests,failures,p95_ms/);
  const inFile = lines.slice(1).reduce((sum, line) => sum + Number(line.split(',')[3]), 0);
  expect(Math.abs(inFile - report.sent), `${inFile} in the file, ${report.sent} sent`).toBeLessThanOrEqual(RATE);

  // Another range is another address, and works without the wasm.
  const plain = await (await ana.fetch('/projects/demo/services/measured?in=local&range=24h&as=table')).text();
  expect(plain.includes('a row for each 3 min'), 'the table of a day').toBe(true);
});

test('a rollout shows its own time, and nobody sees what he may not', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  const demo = await Demo.add(pilothouse, ana, 'rolled');
  const [v1, v2] = [await demo.release(IMAGES.v1), await demo.release(IMAGES.v2)];
  const first = await demo.deploys(v1);
  await demo.ends(first);
  const load = Load.start(demo.url(), { rate: RATE, websockets: 0, events: 0 });
  const second = await demo.deploys(v2);
  await demo.ends(second);
  await load.stop();
  await ana.enters(page.context());

  await page.goto(`/rollouts/${second}`);
  await hydrated(page);
  const section = page.getByRole('region', { name: 'Traffic and use over the rollout' });
  await expect(section.locator('.about').getByText('green')).toBeVisible();
  const switched = section.getByRole('link', { name: 'traffic switched to 2.0.0 in green' });
  await expect(switched).toHaveAttribute('href', `/rollouts/${second}`);
  await expect(section.locator('line.switch').first()).toBeAttached();
  const { course } = await ana.call<Past>('samples/rollout', { id: second });
  const sum = (slot: number) => course.points.reduce((all, step) => all + (step[slot]?.[1] ?? 0), 0);
  expect(sum(0)).toBeGreaterThan(0);
  expect(sum(1)).toBeGreaterThan(0);

  await ana.call('services/add', {
    ...{ project: 'elsewhere', name: 'other', image: '', port: '8080', health_path: '/', version_field: '', command: '' },
    ...{ user: '', size: '1', cpu: '1', memory_mib: '64', pids: '64', interval: '1', timeout: '1', start_period: '1', retries: '1' },
  });
  const { projects } = await ana.call<{ projects: [id: string, name: string][] }>('people/page');
  const stranger = await ana.adds('Sten', 'admin', projects.find(([, name]) => name === 'elsewhere')![0]);
  const { placement } = await demo.cell();
  for (const path of [`/samples/${placement}/download`, `/projects/demo/services/rolled?range=7d`, `/rollouts/${second}`]) {
    const answer = await stranger.fetch(path);
    expect([path, answer.status]).toEqual([path, 404]);
    expect(await answer.text()).not.toContain('id="past"');
  }
  for (const [endpoint, fields] of [
    ['samples/service', { project: 'demo', service: 'rolled', range: '15m' }],
    ['samples/rollout', { id: second }],
  ] as const) {
    await expect(stranger.call(endpoint, fields)).rejects.toMatchObject({ status: 404 });
  }
});
