// A real Kubernetes cluster: the one that `make test` brought up, else one of our own. Nothing of
// Pilothouse; what is done here is done behind its back.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, ROOT, run, until } from './machine.ts';

const TOOL = join(ROOT, 'tools', 'cluster');

export class Cluster {
  /** Namespaces that were made here, to be removed. */
  private namespaces: string[] = [];

  private constructor(
    private readonly directory: string,
    /** Whether it ends with us. */
    private readonly own: boolean,
    /** The admin's kubeconfig, as text to be pasted. */
    readonly kubeconfig: string,
    private readonly kubectlProgram: string,
  ) {}

  /** Building it, where nobody has yet, takes minutes. */
  static async start(): Promise<Cluster> {
    const given = process.env.PILOTHOUSE_TEST_CLUSTER_DIR;
    const directory = given ?? (await mkdtemp(join(tmpdir(), 'pilothouse-cluster-')));
    if (!given) await run(TOOL, ['up', directory], 20 * 60_000);
    const read = (name: string) => readFile(join(directory, name), 'utf8');
    const programs = (await read('programs')).trim();
    return new Cluster(directory, !given, await read('kubeconfig'), join(programs, 'kubectl'));
  }

  async remove(): Promise<void> {
    if (!this.own) {
      for (const namespace of this.namespaces) await this.kubectl('delete', 'namespace', namespace, '--wait=false');
      return;
    }
    await this.tool('down');
    await rm(this.directory, { recursive: true, force: true });
  }

  /** `tools/cluster COMMAND` on this cluster. */
  tool(command: string, ...args: string[]): Promise<string> {
    return run(TOOL, [command, this.directory, ...args], 120_000);
  }

  /** As somebody with the admin's kubeconfig would. */
  kubectl(...args: string[]): Promise<string> {
    return run(this.kubectlProgram, [...this.ways(), ...args]);
  }

  private ways(): string[] {
    return ['--kubeconfig', join(this.directory, 'kubeconfig'), '--cache-dir', join(this.directory, 'kubectl')];
  }

  /** A namespace that enforces the strictest level of pod security. */
  async namespace(name: string, quota?: Record<string, string>): Promise<void> {
    await this.kubectl('create', 'namespace', name);
    this.namespaces.push(name);
    await this.kubectl('label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted');
    const hard = Object.entries(quota ?? {}).map(([what, most]) => `${what}=${most}`);
    if (hard.length) await this.kubectl('--namespace', name, 'create', 'quota', 'small', `--hard=${hard.join()}`);
    await until(`the namespace ${name} has its account`, 15, async () =>
      Boolean(await this.kubectl('--namespace', name, 'get', 'serviceaccount', 'default', '--output=name')),
    );
  }

  /** Somebody's own objects, as `kubectl apply` makes them. */
  async apply(namespace: string, objects: unknown[]): Promise<void> {
    const file = join(this.directory, `apply-${randomBytes(4).toString('hex')}.json`);
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    try {
      await this.kubectl('--namespace', namespace, 'apply', '--filename', file);
    } finally {
      await rm(file);
    }
  }

  /** Somebody's hand: a merge patch. */
  patch(namespace: string, object: string, change: unknown): Promise<string> {
    return this.kubectl('--namespace', namespace, 'patch', object, '--type=merge', `--patch=${JSON.stringify(change)}`);
  }

  /** One field of an object, by JSONPath. */
  field(namespace: string, object: string, path: string): Promise<string> {
    return this.kubectl('--namespace', namespace, 'get', object, `--output=jsonpath={${path}}`);
  }

  /** HOST:PORT of this machine, whose connections are dialled inside, to a Service. */
  async wayTo(namespace: string, service: string): Promise<string> {
    const address = await this.field(namespace, `service/${service}`, '.spec.clusterIP');
    const port = await this.field(namespace, `service/${service}`, '.spec.ports[0].port');
    return this.tool('forward', `${address}:${port}`);
  }

  /** Lets what listens on a loopback port of this machine be reached inside under the same name. */
  lend(port: number): Promise<string> {
    return this.tool('lend', String(port));
  }

  /** Everything that a field of an object is from now on, until it is stopped. */
  watch(namespace: string, object: string, path: string): Watched {
    const what = ['--namespace', namespace, 'get', object, '--watch', `--output=jsonpath={${path}}{"\\n"}`];
    return new Watched(spawn(this.kubectlProgram, [...this.ways(), ...what], { stdio: ['ignore', 'pipe', 'ignore'] }));
  }

  /** Names of the pods of a slot of a service. */
  async pods(namespace: string, service: string, slot: string): Promise<string[]> {
    const ours = `--selector=pilothouse/slot=${slot}`;
    const path = '--output=jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}';
    const names = await this.kubectl('--namespace', namespace, 'get', 'pods', ours, path);
    return names.split('\n').filter((name) => name.startsWith(`${service}-`));
  }

  /** The process of a pod's only program, as this machine numbers it. Control groups carry the pod's id. */
  async process(namespace: string, pod: string): Promise<number> {
    const group = `pod${await this.field(namespace, `pod/${pod}`, '.metadata.uid')}`;
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
      if ((await read('cgroup')).includes(group) && (await read('comm')).trim() === 'hello') return Number(pid);
    }
    throw new Error(`no process of ${pod} runs`);
  }
}

/** What `kubectl get --watch` says. */
export class Watched {
  private said = '';

  constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (data) => (this.said += data));
  }

  /** Ends it; says what the field was, each value once. */
  async stop(): Promise<string[]> {
    await end(this.child, 'SIGTERM', 5);
    return [...new Set(this.said.split('\n').slice(0, -1))];
  }
}
