// How long it takes on a cluster of one node until every new connection has the new slot: after "promote" in
// the program, and after a bare patch of a Service by hand, in turn. And what clients lose meanwhile.

import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { request as secure } from 'node:https';
import { IMAGES, makeImages, type Demo } from '../support/demo.ts';
import { Load } from '../support/load.ts';
import { sleep } from '../support/machine.ts';
import { expect, SETTINGS, Site, test } from '../support/on-cluster.ts';
import { Person } from '../support/person.ts';

const ROUNDS = Number(process.env.PILOTHOUSE_TEST_ROUNDS ?? 20);
const RATE = 300;

test.use({
  settings: [
    { ...SETTINGS, PILOTHOUSE_POLICY: 'passes=1,promote_by_hand=true,observe_for=1s,drain_for=1s,warm_for=60s,verify_within=30s' },
    { scope: 'worker' },
  ],
  fresh: ['bench-cluster', { scope: 'worker' }],
});

const ENVIRONMENT = 'rehearsal';

/**
 * Before each of both: kube-proxy writes its rules at most once a second, and what it was told last may be
 * that new pods are ready, or that those of the old slot begin anew. A person who promotes has taken longer
 * than that to decide.
 */
const CALM = 6000;

/** Asks over a connection of its own, and says who answered. */
const asks = (address: string): Promise<string> =>
  new Promise((done, failed) => {
    const asked = request(`${address}version`, { agent: false, timeout: 5000 }, (answer) => {
      answer.resume().on('end', () => done(String(answer.headers['x-hello-version'])));
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer'))).on('error', failed).end();
  });

/** New connections every few milliseconds, each with when it was begun and who answered. */
class Sampler {
  private readonly seen: { at: number; who: string }[] = [];
  private over = false;
  private readonly loop: Promise<void>;

  constructor(private readonly address: string) {
    this.loop = this.run();
  }

  private async run(): Promise<void> {
    const open = new Set<Promise<unknown>>();
    while (!this.over) {
      const at = performance.now();
      const one = asks(this.address)
        .catch(() => 'nobody')
        .then((who) => this.seen.push({ at, who }))
        .finally(() => open.delete(one));
      open.add(one);
      await sleep(4);
    }
    await Promise.all(open);
  }

  /** From `begun` to the first connection after which all were answered by `who`. */
  async until(begun: number, who: string): Promise<number> {
    // Rules of a node follow within a second; what is not there after two is told as such.
    await sleep(2500);
    this.over = true;
    await this.loop;
    const seen = this.seen.sort((one, other) => one.at - other.at);
    const last = seen.map((one) => one.who === who).lastIndexOf(false);
    if (last === seen.length - 1) throw new Error(`the last connection was answered by ${seen[last]?.who}, not by ${who}`);
    return seen[last + 1].at - begun;
  }
}

/** The API server as somebody with the admin's kubeconfig speaks to it, without starting a program. */
async function patcher(kubeconfig: string): Promise<(path: string, change: unknown) => Promise<void>> {
  const field = (name: string) => new RegExp(`${name}: "?([^"\\s]+)`).exec(kubeconfig)![1];
  const secret = async (name: string) => {
    const inside = new RegExp(`${name}-data: "?([^"\\s]+)`).exec(kubeconfig);
    return inside ? Buffer.from(inside[1], 'base64') : readFile(field(name));
  };
  const [ca, cert, key] = await Promise.all(['certificate-authority', 'client-certificate', 'client-key'].map(secret));
  const server = field('server');
  return (path, change) =>
    new Promise((done, failed) => {
      const headers = { 'content-type': 'application/merge-patch+json' };
      const asked = secure(`${server}${path}`, { method: 'PATCH', ca, cert, key, headers }, (answer) => {
        answer.resume().on('end', () => (answer.statusCode === 200 ? done() : failed(new Error(`patched: ${answer.statusCode}`))));
      });
      asked.on('error', failed).end(JSON.stringify(change));
    });
}

/** Two Deployments and a Service of nobody's, of the same images: what a hand would patch. */
async function byHand(site: Site, demo: Demo): Promise<string> {
  const namespace = site.namespace(ENVIRONMENT);
  const versions = await Promise.all(['blue', 'green'].map((slot) => site.cluster.kubectl('--namespace', namespace, 'get', `deployment/${demo.name}-${slot}`, '--output=json')));
  const made = versions.map((text) => {
    const { spec } = JSON.parse(text);
    const slot = spec.selector.matchLabels['pilothouse/slot'];
    const labels = { app: 'bare', slot };
    const { containers, volumes, securityContext, imagePullSecrets } = spec.template.spec;
    const pod = { containers, volumes, securityContext, imagePullSecrets, terminationGracePeriodSeconds: 5 };
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: `bare-${slot}` },
      spec: { replicas: spec.replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    };
  });
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'bare' },
    spec: { selector: { app: 'bare', slot: 'blue' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
  await site.cluster.apply(namespace, [...made, service]);
  for (const slot of ['blue', 'green']) {
    await site.cluster.kubectl('--namespace', namespace, 'rollout', 'status', `deployment/bare-${slot}`, '--timeout=50s');
  }
  return `http://${await site.cluster.wayTo(namespace, 'bare')}/`;
}

const quantile = (all: number[], part: number) => [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * part))];
const told = (all: number[]) => `median ${quantile(all, 0.5).toFixed(0)} ms, p95 ${quantile(all, 0.95).toFixed(0)} ms`;

test('row 14', async ({ pilothouse, cluster, registry }) => {
  await makeImages();
  const ana = await Person.admin(pilothouse);
  const site = await Site.connect(pilothouse, ana, cluster, registry);
  await site.environment(ENVIRONMENT);
  const demo = await site.service('shop', { size: '2' });
  const versions = ['1.0.0', '2.0.0'];
  const releases = [await site.release(demo, IMAGES.v1), await site.release(demo, IMAGES.v2)];

  /** Rolls out until a person is asked, and returns what that person does. */
  const waits = async (release: string): Promise<{ rollout: string; promote: () => Promise<unknown> }> => {
    const rollout = await demo.deploys(release, ENVIRONMENT);
    await demo.reaches(rollout, 'awaiting_promotion', 60);
    return { rollout, promote: () => ana.call('rollouts/ask', { rollout, ask: 'promote', reason: '' }) };
  };
  for (const release of releases) {
    const { rollout, promote } = await waits(release);
    await promote();
    await demo.ends(rollout);
  }
  const ours = await site.address(demo, ENVIRONMENT);
  const bare = await byHand(site, demo);
  const patch = await patcher(cluster.kubeconfig);
  const path = `/api/v1/namespaces/${site.namespace(ENVIRONMENT)}/services/bare`;

  const loads = [ours, bare].map((address) => Load.start(address, { rate: RATE, closing: 50, seconds: 3000, websockets: 0, events: 0 }));
  const [after, afterPatch]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    const to = round % 2;
    const { rollout, promote } = await waits(releases[to]);
    await sleep(CALM);
    const sampler = new Sampler(ours);
    await sleep(100);
    const begun = performance.now();
    await promote();
    after.push(await sampler.until(begun, versions[to]));
    await demo.ends(rollout);

    // Blue holds the first version, and the Service begins with it.
    await sleep(CALM);
    const other = new Sampler(bare);
    await sleep(100);
    const patched = performance.now();
    await patch(path, { spec: { selector: { slot: to === 0 ? 'green' : 'blue' } } });
    afterPatch.push(await other.until(patched, versions[to === 0 ? 1 : 0]));
    console.log(`round ${round + 1}: promote ${after[round].toFixed(0)} ms, a bare patch ${afterPatch[round].toFixed(0)} ms`);
  }
  const [report, ofPatch] = [await loads[0].stop(), await loads[1].stop()];

  const ratios = after.map((ms, round) => ms / afterPatch[round]);
  console.log(`row 14: promote until every new connection has the new slot: ${told(after)}; a bare patch by hand: ${told(afterPatch)}; median of ratios ${quantile(ratios, 0.5).toFixed(2)}`);
  console.log(`row 14: ${report.failed} of ${report.sent} requests failed in ${ROUNDS} switches at ${RATE} requests/s, longest gap ${report.longest_gap_ms} ms; by hand ${ofPatch.failed} of ${ofPatch.sent}, ${ofPatch.longest_gap_ms} ms`);
  for (const { what, why } of report.failures.slice(0, 3)) console.log(`row 14: of those that failed: ${what}: ${why}`);
  expect(report.sent).toBeGreaterThan(0);
});
