// The Docker engine as the tests see it: beside Pilothouse, never through it.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './machine.ts';

const docker = (...args: string[]) => run('docker', args);

/** Ids of everything of a kind whose name begins so. */
async function named(kind: 'container' | 'network', prefix: string): Promise<string[]> {
  const all = kind === 'container' ? ['--all'] : [];
  // A container's name begins with a slash in the engine's own eyes.
  const ids = await docker(kind, 'ls', ...all, '--quiet', '--no-trunc', '--filter', `name=^/?${prefix}-`);
  return ids.split('\n').filter(Boolean);
}

/** Ids of the containers whose name begins with the prefix and a hyphen. */
export const containers = (prefix: string) => named('container', prefix);

/** Removes containers, networks and image tags whose names begin so, and nothing else. */
export async function removeNamed(prefix: string): Promise<void> {
  const containers = await named('container', prefix);
  if (containers.length) await docker('container', 'rm', '--force', '--volumes', ...containers);
  const networks = await named('network', prefix);
  if (networks.length) await docker('network', 'rm', ...networks);
  const all = await docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}');
  const tags = all.split('\n').filter((tag) => tag.startsWith(prefix));
  if (tags.length) await docker('image', 'rm', ...tags);
}

/** Kills a container as a fault would, so that its restart policy acts. */
export const killContainer = (id: string) => docker('container', 'kill', id);

/** Builds an image of the example; its tag is its version. Switches: examples/hello/src/switches.rs. */
export const helloImage = (image: string, ...switches: string[]) =>
  run(join(ROOT, 'tools', 'hello-image'), [image, ...switches]);

/** A /16 that no network of this engine uses, so that two runs on one machine do not collide. */
export async function freeAddressPool(): Promise<string> {
  const ids = (await docker('network', 'ls', '--quiet')).split('\n').filter(Boolean);
  const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}';
  const taken = ids.length ? await docker('network', 'inspect', '--format', format, ...ids) : '';
  const first = Math.floor(Math.random() * 90);
  for (let step = 0; step < 90; step++) {
    const second = 160 + ((first + step) % 90);
    if (!taken.includes(`10.${second}.`)) return `10.${second}.0.0/16`;
  }
  throw new Error('no /16 under 10.160 to 10.249 is free in the Docker engine');
}

/** Lets the process of a container write, as it would itself: into its standard output or error. */
export async function writes(id: string, bytes: Buffer | string, to: 'out' | 'err' = 'out'): Promise<void> {
  const pid = await docker('container', 'inspect', '--format', '{{.State.Pid}}', id);
  const pipe = await open(`/proc/${pid}/fd/${to === 'out' ? 1 : 2}`, constants.O_WRONLY);
  try {
    await pipe.writeFile(bytes);
  } finally {
    await pipe.close();
  }
}
