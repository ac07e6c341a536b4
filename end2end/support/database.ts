// The private Postgres of a run, past the program: as somebody who has a shell on the machine.

import { join } from 'node:path';
import { run } from './machine.ts';
import type { Pilothouse } from './pilothouse.ts';

/** The roles of the database. Whoever runs the program may be any of them, over its socket. */
export type Role = 'postgres' | 'pilothouse_owner' | 'pilothouse_app';

/** Runs statements as one transaction, and returns the values, a row a line. */
export const sql = (pilothouse: Pilothouse, role: Role, statements: string): Promise<string> =>
  run('psql', [
    ...['--host', join(pilothouse.data, 'postgres', 'socket'), '--username', role, '--dbname', 'pilothouse'],
    ...['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1'],
    ...['--single-transaction', '--command', statements],
  ]);
