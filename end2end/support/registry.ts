// A real image registry (Debian's docker-registry) on a free port, with a directory of its own: one user,
// and everything it was asked for in its log. Engines take plain HTTP from 127.0.0.0/8.

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, ended, freePorts, run, until } from './machine.ts';

export const ROBOT = { user: 'robot', password: 'correct-Registry-horse-7' };
/** The password as `htpasswd -B` writes it. */
const HTPASSWD = 'robot:$2b$05$abcdefghijklmnopqrstuu0kH82w/knkzPZbuzwg.iXyOM9C78S62\n';

export class Registry {
  private process?: ChildProcess;

  private constructor(
    private readonly directory: string,
    readonly port: number,
  ) {}

  static async start(): Promise<Registry> {
    const directory = await mkdtemp(join(tmpdir(), 'pilothouse-registry-'));
    const [port] = await freePorts(1);
    const registry = new Registry(directory, port);
    writeFileSync(join(directory, 'htpasswd'), HTPASSWD);
    writeFileSync(join(directory, 'config.yml'), registry.config());
    await registry.resume();
    return registry;
  }

  /** HOST:PORT, as it stands before the name of an image. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** It goes away, and what it has stays. */
  async stop(): Promise<void> {
    if (this.process) await end(this.process, 'SIGKILL', 5);
  }

  async resume(): Promise<void> {
    const log = openSync(join(this.directory, 'log'), 'a');
    const child = spawn('docker-registry', ['serve', join(this.directory, 'config.yml')], { stdio: ['ignore', log, log] });
    closeSync(log);
    child.on('error', () => {});
    this.process = child;
    await until('the registry answers (tools/setup gate installs it)', 15, async () => {
      if (ended(child)) throw new Error('docker-registry ended');
      return (await fetch(`http://${this.address}/v2/`)).status === 401;
    });
  }

  /** Sends an image that the machine has, past Pilothouse; the name it was sent by is taken away again. */
  async push(image: string, path: string): Promise<string> {
    const name = `${this.address}/${path}`;
    const auth = Buffer.from(`${ROBOT.user}:${ROBOT.password}`).toString('base64');
    const config = join(this.directory, 'docker');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { [this.address]: { auth } } }));
    await run('docker', ['tag', image, name]);
    await run('docker', ['--config', config, 'push', '--quiet', name]);
    await run('docker', ['image', 'rm', name]);
    return name;
  }

  /** The digest that a tag points to, asked as anybody with the password could. */
  async digest(repository: string, tag: string): Promise<string | null> {
    const login = Buffer.from(`${ROBOT.user}:${ROBOT.password}`).toString('base64');
    const accept = 'application/vnd.docker.distribution.manifest.v2+json';
    const url = `http://${this.address}/v2/${repository}/manifests/${tag}`;
    const answer = await fetch(url, { method: 'HEAD', headers: { authorization: `Basic ${login}`, accept } });
    return answer.ok ? answer.headers.get('docker-content-digest') : null;
  }

  /** The content id that a manifest is of: what Docker calls the image's id. */
  async content(repository: string, digest: string): Promise<string> {
    const login = Buffer.from(`${ROBOT.user}:${ROBOT.password}`).toString('base64');
    const accept = 'application/vnd.docker.distribution.manifest.v2+json';
    const url = `http://${this.address}/v2/${repository}/manifests/${digest}`;
    const answer = await fetch(url, { headers: { authorization: `Basic ${login}`, accept } });
    return ((await answer.json()) as { config: { digest: string } }).config.digest;
  }

  /** Lets a tag point to what another one points to, past Pilothouse. */
  async move(repository: string, from: string, to: string): Promise<void> {
    const login = Buffer.from(`${ROBOT.user}:${ROBOT.password}`).toString('base64');
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    const at = (tag: string) => `http://${this.address}/v2/${repository}/manifests/${tag}`;
    const headers = { authorization: `Basic ${login}` };
    const manifest = await (await fetch(at(from), { headers: { ...headers, accept: type } })).text();
    const put = await fetch(at(to), { method: 'PUT', body: manifest, headers: { ...headers, 'content-type': type } });
    if (!put.ok) throw new Error(`the tag was not moved: ${put.status}`);
  }

  async remove(): Promise<void> {
    await this.stop();
    const format = '{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}';
    const names = (await run('docker', ['image', 'ls', '--digests', '--format', format])).split(/\s+/);
    const ours = names.filter((name) => name.startsWith(`${this.address}/`) && !name.includes('<none>'));
    // Only these names go: what is called otherwise too, stays.
    for (const name of new Set(ours)) await run('docker', ['image', 'rm', '--force', name]).catch(() => '');
    await rm(this.directory, { recursive: true, force: true });
  }

  private config(): string {
    return [
      'version: 0.1',
      'log: {level: info}',
      `storage: {filesystem: {rootdirectory: "${join(this.directory, 'data')}"}}`,
      `http: {addr: "127.0.0.1:${this.port}", secret: tests}`,
      `auth: {htpasswd: {realm: tests, path: "${join(this.directory, 'htpasswd')}"}}`,
      '',
    ].join('\n');
  }
}

/** Takes every name of an image from this machine that begins so: what is left of it is nobody's. */
export async function forgetImage(id: string): Promise<void> {
  const names = await run('docker', ['image', 'inspect', '--format', '{{join .RepoTags "\\n"}}\n{{join .RepoDigests "\\n"}}', id]);
  const all = names.split('\n').filter(Boolean);
  await run('docker', ['image', 'rm', '--force', ...all]);
}

export const isThere = (id: string) => run('docker', ['image', 'inspect', id]).then(() => true, () => false);
