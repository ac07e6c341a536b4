// `test` with what every journey needs. A journey imports this, not Playwright.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, expect, type BrowserContextOptions, type Locator, type Page } from '@playwright/test';
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
  /**
   * Draws a page wide and narrow, dark and light, each kept as a picture under this name: none is wider
   * than the window, and axe finds nothing. The picture may be of a part of the page.
   */
  looksGood: (page: Page, name: string, part?: Locator) => Promise<void>;
}

const WIDTHS = { phone: { width: 390, height: 844 }, wide: { width: 1440, height: 900 } };

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

  looksGood: async ({ accessible }, use, testInfo) => {
    const folder = join(testInfo.project.outputDir, 'pages');
    await use(async (page, name, part) => {
      await mkdir(folder, { recursive: true });
      for (const [width, size] of Object.entries(WIDTHS)) {
        await page.setViewportSize(size);
        for (const colorScheme of ['dark', 'light'] as const) {
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
          await accessible(page);
          const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          expect(wider, `${name} at ${size.width} px is wider than the window by`).toBe(0);
          const path = join(folder, `${name}-${width}-${colorScheme}.png`);
          await (part ? part.screenshot({ path }) : page.screenshot({ path, fullPage: true }));
        }
      }
    });
  },
});

/** Waits until the page answers to clicks in the browser, not only on the server. */
export async function hydrated(page: Page): Promise<void> {
  await page.waitForSelector('body[data-hydrated]', { state: 'attached' });
}
