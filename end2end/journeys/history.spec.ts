// A history that somebody changed behind the program's back is found, and who could change it is only
// the superuser of the database.

import { Client, database } from '../support/database.ts';
import { Demo, QUICK } from '../support/demo.ts';
import { PROGRAMS, run } from '../support/machine.ts';
import { Person } from '../support/person.ts';
import { expect, hydrated, test } from '../support/test.ts';

test.use({ settings: [QUICK, { scope: 'worker' }] });
