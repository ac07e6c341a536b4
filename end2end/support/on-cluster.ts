// What journeys on a cluster share: the cluster itself, a registry that Docker here and the node there
// reach under one name, and a Pilothouse that has been told of both.

import { randomBytes } from 'node:crypto';
import { Cluster } from './cluster.ts';
import { Demo, IMAGES, makeImages, QUICK } from './demo.ts';
import { until } from './machine.ts';
import { Person } from './person.ts';
import type { Pilothouse } from './pilothouse.ts';
import { environment } from './policy.ts';
import { Registry, ROBOT } from './registry.ts';
import { test as base } from './test.ts';

export { expect, hydrated } from './test.ts';

export const test = base.extend<object, { cluster: Cluster; registry: Registry }>({
  cluster: [
    async ({}, use) => {
      const cluster = await Cluster.start();
      await use(cluster);
      await cluster.remove();
    },
    { scope: 'worker', timeout: 20 * 60_000 },
  ],
  registry: [
    async ({ cluster }, use) => {
      const registry = await Registry.start();
      await cluster.lend(registry.port);
      await use(registry);
      await registry.remove();
    },
    { scope: 'worker' },
  ],
});

/** Short phases, and leave to speak to a registry and a cluster of this machine. */
export const SETTINGS = { ...QUICK, PILOTHOUSE_OUTGOING_ALLOW: '127.0.0.1' };

/** Whether there is a cluster to be tested on. */
export const NO_CLUSTER = process.env.PILOTHOUSE_TEST_CLUSTER === 'none';

/** Pushes a release to where its service's images go. */
export async function pushes(person: Person, release: string): Promise<void> {
  await person.call('registries/push', { release });
  await until('the push ends', 30, async () => {
    const { pushes } = await person.call<{ pushes: { state: string; why: string | null }[] }>('registries/stored', { release });
    if (pushes[0]?.state === 'failed') throw new Error(pushes[0].why ?? 'it failed');
    return pushes[0]?.state === 'pushed';
  });
}

/** The cluster and the registry as one installation knows them. */
export class Site {
  private constructor(
    readonly pilothouse: Pilothouse,
    readonly person: Person,
    readonly cluster: Cluster,
    private readonly target: string,
    private readonly registry: string,
    private readonly prefix: string,
  ) {}

  /** An admin connects both, without a browser. */
  static async connect(pilothouse: Pilothouse, person: Person, cluster: Cluster, registry: Registry): Promise<Site> {
    const prefix = `e2e-${randomBytes(4).toString('hex')}`;
    const target = await person.call<string>('targets/add', { name: 'rehearsals', secret: cluster.kubeconfig });
    await person.call('targets/choose', { target, namespaces: `${prefix}-{environment}` });
    await until('the cluster answers', 30, async () => {
      const { row } = await person.call<{ row: { answers: boolean | null } }>('targets/one', { target });
      return row.answers === true;
    });
    const known = await person.call<string>('registries/add', { name: 'company', address: registry.address, ...ROBOT });
    return new Site(pilothouse, person, cluster, target, known, prefix);
  }

  /** The namespace of an environment. */
  namespace(environment: string): string {
    return `${this.prefix}-${environment}`;
  }

  /** Adds an environment on the cluster, and its namespace. */
  async environment(name: string, after = 'local', quota?: Record<string, string>, isProtected = false): Promise<string> {
    const namespace = this.namespace(name);
    await this.cluster.namespace(namespace, quota);
    const at = { name, after: await environment(this.person, after), target: this.target };
    await this.person.call('environments/add', { ...at, ...(isProtected ? { protected: 'yes' } : {}) });
    return namespace;
  }

  /** Leads an environment that is there already to a namespace of the cluster. */
  async takes(name: string, quota?: Record<string, string>): Promise<void> {
    await this.cluster.namespace(this.namespace(name), quota);
    await this.person.call('environments/move', { environment: await environment(this.person, name), target: this.target });
  }

  /** Adds a service whose images go to the registry: what is built by itself, if it is said so. */
  async service(name: string, fields: Record<string, string> = {}, afterBuild = false): Promise<Demo> {
    const demo = await Demo.add(this.pilothouse, this.person, name, fields);
    const rule = { service: demo.service, registry: this.registry, path: `demo/${name}`, tags: '{version}' };
    await this.person.call('registries/set-rule', { ...rule, ...(afterBuild ? { after_build: 'yes' } : {}) });
    return demo;
  }

  /** Makes a release and pushes it. */
  async release(demo: Demo, image: string): Promise<string> {
    const release = await demo.release(image);
    await pushes(this.person, release);
    return release;
  }

  /** The slot that a service's requests go to, by the cluster's own word. */
  selected(demo: Demo, environment: string): Promise<string> {
    return this.cluster.field(this.namespace(environment), `service/${demo.name}`, '.spec.selector.pilothouse/slot');
  }

  /** The address of a service for the load: dialled inside, through the rules of the node. */
  async address(demo: Demo, environment: string): Promise<string> {
    return `http://${await this.cluster.wayTo(this.namespace(environment), demo.name)}/`;
  }
}

/** The environment of a rehearsal. */
export const ENVIRONMENT = 'rehearsal';

/** One service of two instances on the cluster, with two releases. The first is live. */
export interface Rehearsal {
  site: Site;
  demo: Demo;
  address: string;
  releases: [string, string];
}

export async function rehearse(pilothouse: Pilothouse, cluster: Cluster, registry: Registry): Promise<Rehearsal> {
  await makeImages();
  const site = await Site.connect(pilothouse, await Person.admin(pilothouse), cluster, registry);
  await site.environment(ENVIRONMENT);
  const demo = await site.service('shop', { size: '2' });
  const releases: [string, string] = [await site.release(demo, IMAGES.v1), await site.release(demo, IMAGES.v2)];
  await demo.ends(await demo.deploys(releases[0], ENVIRONMENT));
  return { site, demo, address: await site.address(demo, ENVIRONMENT), releases };
}
