import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (!chromium) throw new Error('There is no Chromium here: please run tools/setup gate.');

// Journeys that put load on a service, or ask how long something took: what runs beside them would be
// in their figures. Each worker has a Pilothouse of its own, and two cores carry one of those with its
// load, or two without.
const alone = ['cluster', 'cluster-cases', 'cluster-faults', 'connect', 'engine', 'faults', 'first-day', 'history', 'live', 'logs', 'samples', 'switching', 'three-environments'].map((name) => `**/${name}.spec.ts`);

export default defineConfig({
  testDir: './journeys',
  projects: [
    { name: 'together', testIgnore: alone, outputDir: './test-results/together' },
    { name: 'alone', testMatch: alone, outputDir: './test-results/alone' },
  ],
  workers: 1,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  retries: 0,
  maxFailures: 5,
  timeout: 90_000,
  expect: { timeout: 10_000 },
  reporter: [['list'], ['json', { outputFile: 'test-results/report.json' }]],
  use: {
    locale: 'en-GB',
    timezoneId: 'UTC',
    screenshot: 'only-on-failure',
    // What the page was at each step, without a film of it: that takes a good part of two cores.
    trace: { mode: 'retain-on-failure', screenshots: false },
    launchOptions: {
      executablePath: chromium,
      // The last ones keep the browser from asking the network for things that no test is about.
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
