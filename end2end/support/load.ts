// A witness of what clients saw: `hello load`, which knows nothing of Pilothouse.

import { spawn, type ChildProcess } from 'node:child_process';
import { end, PROGRAMS } from './machine.ts';

export interface StreamCounts {
  opened: number;
  messages: number;
  closed: number;
  cut: number;
  failed: number;
  unanswered: number;
}

export interface LoadReport {
  started_unix_ms: number;
  lasted_ms: number;
  sent: number;
  answered: number;
  failed: number;
  longest_gap_ms: number;
  latency_ms: { p50: number; p95: number; p99: number; max: number };
  versions: Record<string, { answers: number; first_sent_ms: number; last_sent_ms: number }>;
  websockets: StreamCounts;
  events: StreamCounts;
  failures: { at_ms: number; what: string; why: string }[];
}

export interface LoadOptions {
  /** Requests a second, sent whether or not earlier ones were answered. */
  rate?: number;
  /** An upper bound; `stop` ends it before. */
  seconds?: number;
  /** Of 100 requests, how many use a connection of their own. */
  closing?: number;
  websockets?: number;
  events?: number;
}

/** Load that runs until it is stopped. */
export class Load {
  private output = '';

  private constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (data) => (this.output += data));
    child.stderr?.on('data', (data) => (this.output += data));
  }

  static start(url: string, options: LoadOptions = {}): Load {
    const all = { rate: 500, seconds: 300, closing: 30, websockets: 2, events: 2, ...options };
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
    return new Load(spawn(PROGRAMS.hello, ['load', url, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /** Ends the load and returns what it saw. */
  async stop(): Promise<LoadReport> {
    await end(this.child, 'SIGTERM', 30);
    try {
      return JSON.parse(this.output) as LoadReport;
    } catch {
      throw new Error(`the load gave no report: ${this.output}`);
    }
  }
}

/** No streams: of those a Service moves none, and the goodbye of a slot ends them. */
export const REQUESTS: LoadOptions = { websockets: 0, events: 0 };

/** Everything a client could have lost. */
export function lost(report: LoadReport): unknown {
  const { failed, failures, websockets, events } = report;
  return { failed, failures: failures.slice(0, 5), ws: [websockets.cut, websockets.failed], sse: [events.cut, events.failed] };
}

/** What `lost` says when it is nothing. */
export const NOTHING = { failed: 0, failures: [], ws: [0, 0], sse: [0, 0] };
