// How careful an environment is, for journeys that need it otherwise than a new installation has it.

import type { Person } from './person.ts';

interface Page {
  environments: { environment: { id: string; name: string; policy: { promote_by_hand: boolean } } }[];
}

/** The id of an environment. */
export async function environment(person: Person, name: string): Promise<string> {
  const { environments } = await person.call<Page>('environments/page');
  const found = environments.find(({ environment }) => environment.name === name);
  if (!found) throw new Error(`there is no environment ${name}`);
  return found.environment.id;
}

/** Whether a person promotes in an environment; else as quick as the other tests. */
export async function byHand(admin: Person, yes: boolean, name = 'local'): Promise<void> {
  const { environments } = await admin.call<Page>('environments/page');
  const { id, policy } = environments.find(({ environment }) => environment.name === name)!.environment;
  if (policy.promote_by_hand === yes) return;
  await admin.call('environments/edit-policy', {
    environment: id,
    ...{ approvals: '0', expire_after_hours: '24', prepare_within: '600', passes: '1', verify_within: '12', switch_within: '10' },
    ...{ observe_for: '5', drain_for: '2', warm_for_minutes: '1', window_requests: '20', error_points: '1', error_floor: '3' },
    ...{ error_absolute: '5', slower_times: '2', slower_ms: '100' },
    ...(yes ? { promote_by_hand: 'yes' } : {}),
  });
}
