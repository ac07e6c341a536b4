// What is done to the control plane in the middle of a rollout, the same on every target.

import type { Demo } from './demo.ts';
import { sql } from './database.ts';

/** Ways forward and back, as the history tells of them. */
export const BACK = ['preflight', 'preparing', 'verifying', 'switching', 'observing', 'switching_back', 'cleaning_up', 'rolled_back'];

/** Whether every phase is tried, as `make faults` does, or those alone that a gate has the time for. */
export const EVERY = process.env.PILOTHOUSE_TEST_FAULTS === 'all';

/** Kills the control plane in a phase of a rollout, and starts it again. */
export async function killedIn(demo: Demo, rollout: string, phase: string): Promise<void> {
  if (phase !== 'queued') await demo.reaches(rollout, phase);
  await demo.pilothouse.stopConsole('SIGKILL');
  const killed = Date.now();
  // It saw the phase a moment ago, and may have left it since.
  const found = await sql(demo.pilothouse, 'postgres', `select phase from rollouts where id = '${rollout}'`);
  await demo.pilothouse.startConsole();
  console.log(`killed in ${phase}, found in ${found}: ready again after ${Date.now() - killed} ms`);
}
