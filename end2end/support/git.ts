// A git server of this machine, over https with a certificate of its own, and repositories in it.
//
//   const git = await GitServer.start();
//   const pilothouse = await Pilothouse.start(git.settings);   // trusts it, and may ask it
//   const repository = await git.repository('api', await exampleFiles('1.0.0'));
//   await repository.commit('Say more', { 'README.md': 'more' });
//   await repository.tag('v1.0.0');
//   ... `${repository.url}` is what a person types
//   await git.stop();
//
// Recipes can use no registry: they begin from nothing, or from the image that `shellImage` makes.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PROGRAMS, run } from './machine.ts';

const SERVER = join(dirname(fileURLToPath(import.meta.url)), 'git-server.mjs');

/** Files by their path; a Buffer is written as it is, `{ copy, mode }` is copied from this machine. */
export type Files = Record<string, string | Buffer | { copy: string; mode?: number }>;

export class GitServer {
  /** What was asked so far, oldest first: "GET /api.git/info/refs?service=git-upload-pack". */
  readonly asked: string[] = [];

  private constructor(
    private readonly directory: string,
    private readonly server: ChildProcess,
    readonly port: number,
  ) {}

  static async start(): Promise<GitServer> {
    const directory = await mkdtemp(join(tmpdir(), 'pilothouse-git-'));
    await certificates(directory);
    await mkdir(join(directory, 'served'));
    const args = [SERVER, join(directory, 'served'), join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const server = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(server.stdout!);
    const port = await new Promise<number>((resolve, reject) => {
      lines.once('line', (line) => resolve(Number(line)));
      server.once('exit', () => reject(new Error('the git server ended at its start')));
    });
    const started = new GitServer(directory, server, port);
    lines.on('line', (line) => started.asked.push(line));
    return started;
  }

  /** With these a Pilothouse trusts this server's certificate and may connect to this machine. */
  get settings(): Record<string, string> {
    return {
      PILOTHOUSE_GIT_CA_FILE: join(this.directory, 'ca.pem'),
      PILOTHOUSE_OUTGOING_ALLOW: `localhost:${this.port}`,
    };
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  /** An address of this server that sends its asker elsewhere. */
  redirecting(to: string, name: string): string {
    return `${this.url}/to/${encodeURIComponent(to)}/${name}.git`;
  }

  /** A new repository whose first commit on `main` holds these files. */
  async repository(name: string, files: Files, message = 'Begin'): Promise<Repository> {
    const work = join(this.directory, 'work', name);
    const served = join(this.directory, 'served', `${name}.git`);
    await mkdir(work, { recursive: true });
    await git(work, 'init', '--quiet', '--initial-branch=main');
    await git(work, 'init', '--quiet', '--bare', '--initial-branch=main', served);
    await git(work, 'remote', 'add', 'origin', served);
    const repository = new Repository(`${this.url}/${name}.git`, work, served);
    await repository.commit(message, files);
    return repository;
  }

  async stop(): Promise<void> {
    this.server.kill('SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }
}

export class Repository {
  constructor(
    readonly url: string,
    private readonly work: string,
    /** Where it lies on this machine. */
    readonly path: string,
  ) {}

  /** Writes files, commits and pushes them; says which commit it became. */
  async commit(message: string, files: Files, branch = 'main'): Promise<string> {
    await git(this.work, 'checkout', '--quiet', '-B', branch);
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.work, path);
      await mkdir(dirname(file), { recursive: true });
      if (typeof content === 'object' && !Buffer.isBuffer(content)) {
        await copyFile(content.copy, file);
        await chmod(file, content.mode ?? 0o755);
      } else {
        await writeFile(file, content);
      }
    }
    await git(this.work, 'add', '--all', '--force');
    await git(this.work, 'commit', '--quiet', '--allow-empty', '-m', message);
    await git(this.work, 'push', '--quiet', '--force', 'origin', branch);
    return (await git(this.work, 'rev-parse', 'HEAD')).trim();
  }

  async tag(name: string): Promise<void> {
    await git(this.work, 'tag', name);
    await git(this.work, 'push', '--quiet', 'origin', `refs/tags/${name}`);
  }

  async removeBranch(name: string): Promise<void> {
    await git(this.work, 'push', '--quiet', 'origin', '--delete', name);
  }
}

/** Everything of the example as a repository: an image from nothing, with a health check that answers. */
export function exampleFiles(version: string): Files {
  return {
    Dockerfile: [
      'FROM scratch',
      'COPY hello /hello',
      `ENV HELLO_VERSION="${version}"`,
      'USER 65532:65532',
      'EXPOSE 8080',
      'ENTRYPOINT ["/hello"]',
      '',
    ].join('\n'),
    hello: { copy: PROGRAMS.hello },
    '.dockerignore': '*\n!hello\n',
  };
}

/**
 * The same with stages and steps that write into the log; `steps` are lines of RUN in the first one.
 * The image of `shellImage` must be there.
 */
export function stagedFiles(version: string, shell: string, steps: string[] = ['echo compiled']): Files {
  return {
    ...exampleFiles(version),
    Dockerfile: [
      `FROM ${shell} AS build`,
      'ARG GREETING=Hello',
      ...steps.map((step) => `RUN ${step}`),
      'COPY hello /out/hello',
      'FROM scratch',
      'COPY --from=build /out/hello /hello',
      `ENV HELLO_VERSION="${version}"`,
      'USER 65532:65532',
      'EXPOSE 8080',
      'ENTRYPOINT ["/hello"]',
      '',
    ].join('\n'),
  };
}

/** Makes an image with a shell from Debian's busybox, once; nothing is asked of a registry. */
export async function shellImage(name = 'pilothouse-shell:1'): Promise<string> {
  const known = await run('docker', ['image', 'ls', '--quiet', name]);
  if (known.trim()) return name;
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find(existsSync);
  if (!busybox) throw new Error('busybox is not there; please run: tools/setup gate');
  const context = await mkdtemp(join(tmpdir(), 'pilothouse-shell-'));
  try {
    await copyFile(busybox, join(context, 'busybox'));
    const links = 'RUN ["/bin/busybox", "--install", "-s", "/bin"]';
    const lines = ['FROM scratch', 'COPY busybox /bin/busybox', links, 'ENV PATH=/bin', 'RUN mkdir -p -m 1777 /tmp', ''];
    await writeFile(join(context, 'Dockerfile'), lines.join('\n'));
    await run('docker', ['build', '--quiet', '--tag', name, context]);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
  return name;
}

async function git(directory: string, ...args: string[]): Promise<string> {
  const who = ['-c', 'user.name=Ada Example', '-c', 'user.email=ada@example.org', '-c', 'core.hooksPath=/dev/null'];
  return run('git', ['-C', directory, ...who, ...args]);
}

/** An authority of this run alone, and a certificate of it for this machine. */
async function certificates(directory: string): Promise<void> {
  const at = (name: string) => join(directory, name);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await run('openssl', ['req', '-x509', ...curve, '-days', '2', '-subj', '/CN=Pilothouse test authority', '-keyout', at('ca.key'), '-out', at('ca.pem')]);
  await run('openssl', ['req', ...curve, '-subj', '/CN=localhost', '-keyout', at('key.pem'), '-out', at('csr.pem')]);
  await writeFile(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  await run('openssl', ['x509', '-req', '-days', '2', '-in', at('csr.pem'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('names'), '-out', at('cert.pem')]);
}
