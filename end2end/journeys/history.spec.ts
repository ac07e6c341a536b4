// A history that somebody changed behind the program's back is found, and only the superuser of the
// database could have done it.

import { sql, type Role } from '../support/database.ts';
import { Demo, QUICK } from '../support/demo.ts';
import { PROGRAMS, run } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import type { Pilothouse } from '../support/pilothouse.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });

/** What `pilothouse history verify` says, and with which exit code. */
async function verdict(pilothouse: Pilothouse): Promise<{ code: number; said: string }> {
  return run(PROGRAMS.console, ['history', 'verify', '--data-dir', pilothouse.data]).then(
    (said) => ({ code: 0, said }),
    (error: { code: number; stdout: string }) => ({ code: error.code, said: error.stdout.trim() }),
  );
}

/** As the superuser can: past the triggers, for the transaction. */
const tamper = (pilothouse: Pilothouse, statement: string) =>
  sql(pilothouse, 'postgres', `set local session_replication_role = replica; ${statement}`);

/** Makes the byte `at` of what row `number` says another. */
const oneByte = (number: string, at: string, letter: string) =>
  `update history set body = set_byte(body, ${at}, ascii('${letter}')) where number = ${number}`;

test('one byte that was changed in a row is found and named, on the page and by the command', async ({ pilothouse, page }) => {
  const ana = await Person.admin(pilothouse);
  await Demo.add(pilothouse, ana, 'sealed');
  await ana.enters(page.context());
  const number = await sql(pilothouse, 'pilothouse_app', `select min(number) from history where actor_name = 'Ana'`);
  // The last letter of the name, as it stands in the row.
  const at = await sql(pilothouse, 'pilothouse_app', `select position('Ana'::bytea in body) + 1 from history where number = ${number}`);
  const verifies = async () => {
    await page.goto('/history');
    await hydrated(page);
    await page.getByRole('button', { name: 'Verify now' }).click();
    return expect(page.getByRole('main').getByRole('status').filter({ hasText: /Whole|Broken/ }));
  };
  expect(await verdict(pilothouse)).toEqual({ code: 0, said: expect.stringMatching(/^whole: \d+ rows, head [0-9a-f]{64}$/) });
  await (await verifies()).toContainText('Whole up to row');

  await tamper(pilothouse, oneByte(number, at, 'n'));

  expect(await verdict(pilothouse)).toEqual({ code: 1, said: expect.stringContaining(`row ${number} is not what was written`) });
  await (await verifies()).toContainText(`row ${number} is not what was written`);

  // Put back as it was, it is whole again: nothing else was touched by looking.
  await tamper(pilothouse, oneByte(number, at, 'a'));
  await (await verifies()).toContainText('Whole up to row');
});

for (const [what, statement, why] of [
  ['a row that is gone', (last: number) => `delete from history where number = ${last - 1}`, (last: number) => `row ${last - 1} is missing`],
  ['an end that was cut off', (last: number) => `delete from history where number >= ${last - 1}`, (last: number) => `row ${last - 2} is the last`],
  ['a column that tells something else than its row', (last: number) => `update history set actor_name = 'Eve' where number = ${last}`, (last: number) => `row ${last} `],
] as const) {
  test(`${what} is found`, async ({ pilothouse }) => {
    const ana = await Person.admin(pilothouse);
    await Demo.add(pilothouse, ana, `kept-${what.length}`);
    const last = Number(await sql(pilothouse, 'pilothouse_app', 'select max(number) from history'));
    await sql(pilothouse, 'postgres', 'create unlogged table kept as select * from history');
    try {
      await tamper(pilothouse, statement(last));
      expect(await verdict(pilothouse)).toEqual({ code: 1, said: expect.stringContaining(why(last)) });
    } finally {
      await tamper(pilothouse, `delete from history where number in (select number from kept); insert into history select * from kept; drop table kept`);
    }
    expect((await verdict(pilothouse)).code).toBe(0);
  });
}

test('neither the role of the program nor the owner of its tables can change or cut a row', async ({ pilothouse }) => {
  await Person.admin(pilothouse);
  const before = await sql(pilothouse, 'pilothouse_app', 'select max(number) from history');
  const refused = (role: Role, statement: string) =>
    sql(pilothouse, role, statement).then(
      () => 'it was done',
      (error: { stderr: string }) => error.stderr,
    );

  for (const statement of [
    oneByte('1', '40', 'n'),
    'delete from history where number = 1',
    'delete from history_000000 where number = 1',
    'truncate history',
    `insert into history select * from history where number = 1`,
    'update history_head set number = 0',
  ]) {
    expect(await refused('pilothouse_app', statement), statement).toContain('permission denied');
  }
  for (const statement of ['alter table history disable trigger all', 'set session_replication_role = replica', 'drop table history']) {
    expect(await refused('pilothouse_app', statement), statement).toMatch(/must be owner|permission denied/);
  }
  for (const statement of [oneByte('1', '40', 'n'), 'delete from history where number = 1', 'truncate history']) {
    expect(await refused('pilothouse_owner', statement), statement).toContain('append-only');
  }
  expect(await sql(pilothouse, 'pilothouse_app', 'select max(number) from history')).toBe(before);
  expect((await verdict(pilothouse)).code).toBe(0);
});
