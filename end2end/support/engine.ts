// A Docker engine of a journey's own, so that its daemon can be restarted while the machine's runs on.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, ended, run, until } from './machine.ts';

export class Engine {
  private daemon?: ChildProcess;
  /** Beside the daemon, as on a machine with systemd: it is not what restarts. */
  private containerd?: ChildProcess;

  private readonly name = randomBytes(4).toString('hex');
  private readonly directory = join(tmpdir(), `pilothouse-engine-${this.name}`);
  /** A name of an interface has at most 15 letters. */
  private readonly bridge = `ph-${this.name}`;

  get socket(): string {
    return join(this.directory, 'docker.sock');
  }

  readonly docker = (...args: string[]) => run('docker', ['--host', `unix://${this.socket}`, ...args]);

  /** Starts the daemon. What ran when it ended before runs on. */
  async start(): Promise<void> {
    const at = (name: string) => join(this.directory, name);
    if (!this.containerd) {
      await mkdir(this.directory, { mode: 0o700 });
      await run('ip', ['link', 'add', this.bridge, 'type', 'bridge']);
      await run('ip', ['address', 'add', '192.0.2.1/24', 'dev', this.bridge]);
      await run('ip', ['link', 'set', this.bridge, 'up']);
      const directories = ['--root', at('containerd'), '--state', at('containerd-state')];
      this.containerd = this.spawn('containerd', ['--address', at('containerd.sock'), ...directories]);
    }
    const args = ['--live-restore', '--host', `unix://${this.socket}`, '--containerd', at('containerd.sock')];
    args.push('--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid'));
    // A bridge of its own: without one it would take the machine's away. Containers are reached from
    // this machine and reach nothing else, so there are no rules.
    args.push('--bridge', this.bridge, '--iptables=false', '--ip6tables=false');
    const daemon = (this.daemon = this.spawn('dockerd', args));
    await until('the engine answers', 60, async () => ended(daemon) || !!(await this.docker('version')));
    if (ended(daemon)) throw new Error(`dockerd ended: ${readFileSync(at('dockerd.log'), 'utf8').slice(-2000)}`);
  }

  /** Ends the daemon, and not what it started. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.daemon) await end(this.daemon, signal, 30);
  }

  /** Takes an image over from the machine's engine. */
  async takes(...images: string[]): Promise<void> {
    const archive = join(this.directory, 'images.tar');
    await run('docker', ['save', '--output', archive, ...images]);
    await this.docker('load', '--input', archive);
    await rm(archive);
  }

  /** Ends all that runs in it and takes everything away. */
  async remove(): Promise<void> {
    if (!this.daemon) return;
    if (ended(this.daemon)) await this.start();
    const ids = (await this.docker('container', 'ls', '--all', '--quiet')).split('\n').filter(Boolean);
    if (ids.length) await this.docker('container', 'rm', '--force', ...ids);
    await this.docker('network', 'prune', '--force');
    await this.stop('SIGTERM');
    if (this.containerd) await end(this.containerd, 'SIGTERM', 30);
    // A daemon with live-restore leaves its own mount where it was.
    await run('umount', [join(this.directory, 'data')]).catch(() => '');
    await run('ip', ['link', 'delete', this.bridge]).catch(() => '');
    await rm(this.directory, { recursive: true, force: true });
  }

  private spawn(program: string, args: string[]): ChildProcess {
    const log = openSync(join(this.directory, `${program}.log`), 'a');
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }
}
