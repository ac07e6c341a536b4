// A service with releases, and what a journey asks of its placements. All through the doors that the
// pages use.

import { request } from 'node:http';
import { expect } from '@playwright/test';
import { helloImage } from './docker.ts';
import { until } from './machine.ts';
import type { Person } from './person.ts';
import type { Pilothouse } from './pilothouse.ts';

/** Short enough for a test, and otherwise as any other policy. */
export const QUICK = {
  PILOTHOUSE_POLICY: 'passes=1,observe_for=2s,drain_for=2s,warm_for=60s,verify_within=12s',
};

interface Named {
  id: string;
  name: string;
}

export interface State {
  phase: string;
  trouble: { is: string } | null;
  ending: { end: string; why: string } | null;
  evidence: {
    requests: number;
    failures: number;
    longest_gap_ms: number;
    switched_in_ms: number | null;
    confirmed_at: string | null;
    back_decided_at: string | null;
    back_confirmed_at: string | null;
    last_old_answer_ms: number | null;
    incomplete: boolean;
  };
}

export interface Cell {
  placement: string;
  environment_name: string;
  newest: string | null;
  live: { slot: 'blue' | 'green'; release: Named } | null;
  warm: { slot: 'blue' | 'green'; release: Named; until: string } | null;
  active: { id: string; state: State } | null;
  held: boolean;
  drift: string | null;
}

interface ServicePage {
  id: string;
  placements: { cell: Cell; address: { is: 'link' | 'inside'; at: string } | null; configuration: { number: number } }[];
}

interface RolloutPage {
  card: { id: string; kind: string; state: State };
  rows: { number: number; at: string; phase: string | null; result: string }[];
}

const ENDS = ['succeeded', 'failed', 'aborted', 'rolled_back', 'superseded'];

/** Images of the example under names of their own, made once for a run of the tests. */
export const IMAGES = {
  v1: 'pilothouse-e2e:1.0.0',
  v2: 'pilothouse-e2e:2.0.0',
  /** Never ready. */
  unready: 'pilothouse-e2e:3.0.0-unready',
  /** Answers 500 soon after its first request: observing for two seconds has to see two bad windows. */
  breaks: 'pilothouse-e2e:4.0.0-breaks',
  /** Healthy, and says it is another version. */
  liar: 'pilothouse-e2e:5.0.0-liar',
  /** Its port stays closed for a while after it started. */
  slow: 'pilothouse-e2e:6.0.0-slow',
  /** Ends with an error soon after each start. */
  crashes: 'pilothouse-e2e:7.0.0-crashes',
};

export async function makeImages(): Promise<void> {
  await helloImage(IMAGES.v1);
  await helloImage(IMAGES.v2);
  await helloImage(IMAGES.unready, 'HELLO_FAIL_READY=1');
  await helloImage(IMAGES.breaks, 'HELLO_FAIL_AFTER_S=0.2');
  await helloImage(IMAGES.liar, 'HELLO_REPORT_VERSION=1.0.0');
  await helloImage(IMAGES.slow, 'HELLO_START_DELAY_MS=2000');
  await helloImage(IMAGES.crashes, 'HELLO_CRASH_AFTER_S=0.2');
}

export class Demo {
  private constructor(
    readonly person: Person,
    readonly pilothouse: Pilothouse,
    readonly service: string,
    readonly name: string,
  ) {}

  /** Adds a service of the example image to the project `demo`. */
  static async add(pilothouse: Pilothouse, person: Person, name: string, fields: Record<string, string> = {}): Promise<Demo> {
    const service = await person.call<string>('services/add', {
      project: 'demo',
      name,
      image: '',
      port: '8080',
      health_path: '/health',
      version_field: 'version',
      command: '',
      user: '',
      size: '1',
      cpu: '1',
      memory_mib: '64',
      pids: '64',
      interval: '1',
      timeout: '2',
      start_period: '4',
      retries: '1',
      ...fields,
    });
    return new Demo(person, pilothouse, service, name);
  }

  /** Makes a release of an image that is on the machine. */
  async release(reference: string): Promise<string> {
    const inquiry = await this.person.call<string>('releases/look-up-image', { service: this.service, reference });
    await until(`${reference} is looked up`, 20, async () => {
      const { answer } = await this.person.call<{ answer: { is: string } }>('releases/inquiry', { id: inquiry });
      if (answer.is === 'refused') throw new Error(JSON.stringify(answer));
      return answer.is === 'image';
    });
    return this.person.call<string>('releases/make', { service: this.service, inquiry, name: '' });
  }

  async page(): Promise<ServicePage> {
    return this.person.call('services/page', { project: 'demo', service: this.name });
  }

  async cell(environment = 'local'): Promise<Cell> {
    const { placements } = await this.page();
    const found = placements.find(({ cell }) => cell.environment_name === environment);
    if (!found) throw new Error(`no placement in ${environment}`);
    return found.cell;
  }

  /** Starts a deploy and returns the rollout. */
  async deploys(release: string, environment = 'local', as = this.person): Promise<string> {
    const { placement, newest } = await this.cell(environment);
    return as.call<string>('rollouts/start', { placement, release, newest: newest ?? '', reason: 'a journey' });
  }

  /** Goes back to the warm pair. */
  async rollsBack(environment = 'local'): Promise<string> {
    const { placement, newest } = await this.cell(environment);
    return this.person.call<string>('rollouts/roll-back', {
      placement,
      release: '',
      configuration: '',
      newest: newest ?? '',
      reason: 'a journey',
    });
  }

  async rollout(id: string): Promise<RolloutPage> {
    return this.person.call('rollouts/page', { id });
  }

  async state(id: string): Promise<State> {
    return (await this.rollout(id)).card.state;
  }

  /** Waits for a phase, or for one after it. */
  async reaches(id: string, phase: string, seconds = 40): Promise<void> {
    await until(`${phase} of ${id}`, seconds, async () => {
      const { rows } = await this.rollout(id);
      return rows.some((row) => row.phase === phase);
    });
  }

  /** Waits for the end, and returns the state then. */
  async ends(id: string, end = 'succeeded', seconds = 60): Promise<State> {
    let state: State | undefined;
    await until(`${id} ends`, seconds, async () => {
      state = await this.state(id);
      return ENDS.includes(state.phase);
    });
    expect(state?.phase, JSON.stringify(state?.ending)).toBe(end);
    return state as State;
  }

  /** The phases of which the history tells, in order. */
  async phases(id: string): Promise<string[]> {
    const { rows } = await this.rollout(id);
    return rows.flatMap((row) => (row.phase ? [row.phase] : []));
  }

  /** What a client gets of the slot that waits for its promotion, or is idle. */
  async preview(path: string, environment = 'local'): Promise<string> {
    return this.ask(this.url(path, environment).replace('//', '//next--'), path);
  }

  /** What a client gets by the service's host name, each time over a connection of its own. */
  async get(path: string, environment = 'local'): Promise<string> {
    return this.ask(this.url(path, environment), path);
  }

  private async ask(address: string, path: string): Promise<string> {
    const url = new URL(address);
    // Not every resolver knows that *.localhost is this machine; browsers do.
    const options = { host: '127.0.0.1', port: url.port, path, headers: { host: url.host }, agent: false };
    return new Promise((done, failed) => {
      const asked = request(options, (answer) => {
        let body = '';
        answer.on('data', (piece) => (body += piece)).on('end', () => done(body)).on('error', failed);
      });
      asked.on('error', failed).end();
    });
  }

  url(path = '/', environment = 'local'): string {
    return this.pilothouse.serviceUrl(this.name, 'demo', environment, path);
  }
}

export const GOOD = ['preflight', 'preparing', 'verifying', 'switching', 'observing', 'draining', 'succeeded'];
