// What the tests use of this machine: files, ports, programs. Nothing of Pilothouse.

import { execFile, type ChildProcess } from 'node:child_process';
import { homedir } from 'node:os';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const ROOT = join(import.meta.dirname, '..', '..');
export const CACHE = process.env.PILOTHOUSE_CACHE ?? join(homedir(), '.cache', 'pilothouse');
const TARGET = process.env.CARGO_TARGET_DIR ?? join(CACHE, 'target');

export const PROGRAMS = {
  console: join(TARGET, 'debug', 'pilothouse'),
  router: join(TARGET, 'debug', 'pilothouse-router'),
  hello: join(TARGET, 'example', 'hello'),
  site: join(CACHE, 'site'),
};

const execute = promisify(execFile);

/** Runs a program to its end and returns what it printed. Never a shell. */
export async function run(program: string, args: string[], timeoutMs = 60_000): Promise<string> {
  const { stdout } = await execute(program, args, { timeout: timeoutMs, maxBuffer: 64 << 20 });
  return stdout.trim();
}

export const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** Asks again and again until the answer is true. */
export async function until(what: string, seconds: number, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    if (await ask().catch(() => false)) return;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await sleep(50);
  }
}

/** Ports of the loopback address that nobody uses now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done, failed) => {
          server.once('error', failed);
          server.listen(0, '127.0.0.1', () => done((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** True once the process has ended. */
export const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** Signals a process of ours by its id, waits, and insists after so many seconds. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, seconds: number): Promise<void> {
  if (ended(child)) return;
  child.kill(signal);
  await until(`${child.spawnfile} ends`, seconds, async () => ended(child)).catch(() => {
    child.kill('SIGKILL');
  });
  await until(`${child.spawnfile} is killed`, 10, async () => ended(child));
}
