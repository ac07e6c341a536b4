// The real program for one worker: a fresh data directory, ports, a router and an address pool of
// its own, so that two runs on one machine do not meet.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeAddressPool, removeNamed } from './docker.ts';
import { end, ended, freePorts, PROGRAMS, until } from './machine.ts';

export class Pilothouse {
  private console?: ChildProcess;
  private second?: ChildProcess;
  private router?: ChildProcess;

  private constructor(
    /** Where everything of this run lies. */
    readonly data: string,
    /** What the names of all that it makes in Docker begin with. */
    readonly prefix: string,
    private readonly consolePort: number,
    private readonly routerPort: number,
    private readonly settings: Record<string, string>,
  ) {}

  /** Starts everything, and waits until it is ready for a person. */
  static async start(settings: Record<string, string> = {}): Promise<Pilothouse> {
    for (const program of [PROGRAMS.console, PROGRAMS.router, PROGRAMS.hello, join(PROGRAMS.site, 'hash.txt')]) {
      if (!existsSync(program)) throw new Error(`${program} is not there; please run: make test`);
    }
    const data = await mkdtemp(join(tmpdir(), 'pilothouse-end2end-'));
    const [consolePort, routerPort] = await freePorts(2);
    const prefix = `e2e-${randomBytes(5).toString('hex')}`;
    const apart = { PILOTHOUSE_ADDRESS_POOL: await freeAddressPool(), PILOTHOUSE_NAME_PREFIX: prefix };
    const pilothouse = new Pilothouse(data, prefix, consolePort, routerPort, { ...apart, ...settings });
    try {
      await pilothouse.startRouter();
      await pilothouse.startConsole();
    } catch (error) {
      const told = pilothouse.tails();
      await pilothouse.remove();
      throw new Error(`${(error as Error).message}\n${told}`);
    }
    return pilothouse;
  }

  /** Where people go. Browsers accept its Secure cookies because it is called localhost. */
  get url(): string {
    return `http://localhost:${this.consolePort}`;
  }

  /** Where users of a service go. */
  serviceUrl(service: string, project: string, environment: string, path = '/'): string {
    return `http://${service}.${project}.${environment}.localhost:${this.routerPort}${path}`;
  }

  /** The link with which the first admin is made, while there is none. */
  firstAdminLink(): string {
    return readFileSync(join(this.data, 'first-admin-link'), 'utf8').trim();
  }

  logs(): [name: string, path: string][] {
    return ['pilothouse.log', 'pilothouse-router.log', 'pilothouse-second.log']
      .map((name): [string, string] => [name, join(this.data, name)])
      .filter(([, path]) => existsSync(path));
  }

  async startRouter(): Promise<void> {
    const state = join(this.data, 'router');
    await mkdir(state, { recursive: true, mode: 0o700 });
    const listen = `127.0.0.1:${this.routerPort}`;
    const args = ['serve', '--state-dir', state, '--socket', this.socket, '--listen', listen];
    const router = (this.router = this.spawn('pilothouse-router', PROGRAMS.router, args, {}));
    await this.ready('the router listens', router, 20, async () => existsSync(this.socket));
  }

  async startConsole(): Promise<void> {
    const listen = `127.0.0.1:${this.consolePort}`;
    const args = ['serve', '--data-dir', this.data, '--listen', listen];
    args.push('--site-dir', PROGRAMS.site, '--router-socket', this.socket);
    args.push('--router-public', `127.0.0.1:${this.routerPort}`);
    const console = (this.console = this.spawn('pilothouse', PROGRAMS.console, args, this.settings));
    await this.ready('the console is ready', console, 60, async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  /**
   * A second control plane over the same database, as another machine would run it: a directory, a port
   * and claims of its own, and a copy of the key. Pages are asked of the first one.
   */
  async startSecond(): Promise<void> {
    const data = join(this.data, 'second');
    await mkdir(data, { recursive: true, mode: 0o700 });
    await copyFile(join(this.data, 'secrets.key'), join(data, 'secrets.key'));
    const [port] = await freePorts(1);
    const args = ['serve', '--data-dir', data, '--listen', `127.0.0.1:${port}`, '--site-dir', PROGRAMS.site];
    args.push('--router-socket', this.socket, '--router-public', `127.0.0.1:${this.routerPort}`);
    const database = (role: string) => `postgres://${role}@localhost/pilothouse?host=${join(this.data, 'postgres', 'socket')}`;
    const settings = {
      ...this.settings,
      PILOTHOUSE_DATABASE_URL: database('pilothouse_app'),
      PILOTHOUSE_MIGRATION_DATABASE_URL: database('pilothouse_owner'),
    };
    const second = (this.second = this.spawn('pilothouse-second', PROGRAMS.console, args, settings));
    await this.ready('the second is ready', second, 60, async () => (await fetch(`http://localhost:${port}/readyz`)).ok);
  }

  async stopSecond(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.second) await end(this.second, signal, 15);
  }

  /** Signals the control plane by its process id, as somebody on the machine would. */
  signalConsole(signal: NodeJS.Signals): void {
    process.kill(this.console!.pid!, signal);
  }

  /** Ends the control plane: SIGTERM as an operator would, SIGKILL as a fault would. */
  async stopConsole(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.console) await end(this.console, signal, 15);
  }

  async stopRouter(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.router) await end(this.router, signal, 45);
  }

  /** Ends everything and takes away what it made, in Docker too. */
  async remove(): Promise<void> {
    await this.stopSecond();
    await this.stopConsole();
    await removeNamed(this.prefix);
    await this.stopRouter('SIGKILL');
    await rm(this.data, { recursive: true, force: true });
  }

  private get socket(): string {
    return join(this.data, 'router', 'control.sock');
  }

  private spawn(name: string, program: string, args: string[], settings: Record<string, string>): ChildProcess {
    const log = openSync(join(this.data, `${name}.log`), 'a');
    // Nothing of the caller's own Pilothouse may reach the one under test.
    const inherited = Object.entries(process.env).filter(
      ([key]) => !key.startsWith('PILOTHOUSE_') && key !== 'DATABASE_URL',
    );
    const env = { ...Object.fromEntries(inherited), NO_COLOR: '1', ...settings };
    const child = spawn(program, args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    return child;
  }

  private async ready(what: string, child: ChildProcess, seconds: number, ask: () => Promise<boolean>): Promise<void> {
    await until(what, seconds, async () => ended(child) || (await ask()));
    if (ended(child)) throw new Error(`${child.spawnfile} ended before ${what}`);
  }

  /** The ends of the logs, for an error message. */
  private tails(): string {
    return this.logs()
      .map(([name, path]) => `--- ${name}\n${readFileSync(path, 'utf8').split('\n').slice(-25).join('\n')}`)
      .join('\n');
  }
}
