// `test` with what every journey needs. A journey imports this, not Playwright.

import { AxeBuilder } from '@axe-core/playwright';
import { test as base, expect, type BrowserContextOptions, type Page } from '@playwright/test';
import { Pilothouse } from './pilothouse.ts';
import { ConsoleWatch } from './watch.ts';

export { expect };

interface WorkerFixtures {
  /** Settings of the program as environment variables, beyond those that keep runs apart. */
  settings: Record<string, string>;
  /** Whoever needs an installation that no other journey has touched gives it a name of its own. */
  fresh: string;
  /** The real program, fresh for this worker: no admin yet, nothing deployed. */
  pilothouse: Pilothouse;
}

interface TestFixtures {
  /** What the pages wrote to the console; checked when the test ends. */
  consoleWatch: ConsoleWatch;
  /** Another person: a page with cookies of its own, watched like the first. */
  another: (options?: BrowserContextOptions) => Promise<Page>;
  /** Fails when axe finds anything on the page as it is now. */
  accessible: (page: Page) => Promise<void>;
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  settings: [{}, { option: true, scope: 'worker' }],
  fresh: ['', { option: true, scope: 'worker' }],

  pilothouse: [
    async ({ settings }, use) => {
      const pilothouse = await Pilothouse.start(settings);
      try {
        await use(pilothouse);
      } finally {
        await pilothouse.remove();
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],

  baseURL: async ({ pilothouse }, use) => use(pilothouse.url),

  consoleWatch: [
    async ({ context, pilothouse }, use, testInfo) => {
      const watch = new ConsoleWatch();
      watch.follow(context);
      await use(watch);
      if (testInfo.status !== testInfo.expectedStatus) {
        for (const [name, path] of pilothouse.logs()) await testInfo.attach(name, { path });
      } else {
        watch.check();
      }
    },
    { auto: true },
  ],

  another: async ({ browser, consoleWatch, baseURL }, use) => {
    const contexts: { close: () => Promise<void> }[] = [];
    await use(async (options = {}) => {
      const context = await browser.newContext({ baseURL, ...options });
      contexts.push(context);
      consoleWatch.follow(context);
      return context.newPage();
    });
    for (const context of contexts) await context.close();
  },

  accessible: async ({}, use) => {
    await use(async (page) => {
      // No page here has frames, for which the other mode opens a page of its own each time.
      const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
      const { violations } = await axe.analyze();
      const told = violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.target).join('; ')})`);
      expect(told, `axe on ${page.url()}`).toEqual([]);
    });
  },
});

/** Waits until the page answers to clicks in the browser, not only on the server. */
export async function hydrated(page: Page): Promise<void> {
  await page.waitForSelector('body[data-hydrated]', { state: 'attached' });
}
