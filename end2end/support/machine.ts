// What the tests use of this machine: files, ports, programs. Nothing of Pilothouse.

import { execFile, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
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
  // What tells tests where their cluster is, is no setting of the program, and refused by it.
  const isOurs = program.startsWith(TARGET);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOurs || !/^PILOTHOUSE_(TEST|CLUSTER)_/.test(name)));
  const { stdout } = await execute(program, args, { timeout: timeoutMs, maxBuffer: 64 << 20, env });
  return stdout.trim();
}

export const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** Asks again and again until the answer is true. What can not be asked now is asked again, too. */
export async function until(what: string, seconds: number, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    let why: unknown;
    const answer = await ask().catch((error) => ((why = error), false));
    if (answer) return;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`, { cause: why });
    await sleep(50);
  }
}

/**
 * Ports of the loopback address that nobody uses now, and that the system gives to no connection
 * either: a program that is killed under load could not have such a one back, because a client may
 * have been given it meanwhile.
 */
export async function freePorts(count: number): Promise<number[]> {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const least = 10_000;
  const most = Math.max(Number(range.split(/\s+/)[0]), least + 1000);
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 200) throw new Error(`no ${count} free ports from ${least} to ${most}`);
    const port = least + Math.floor(Math.random() * (most - least));
    if (await isFree(port)) found.add(port);
  }
  return [...found];
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });

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
