// Fails a test for what a person would find in the browser's console.

import { expect, type BrowserContext } from '@playwright/test';

/** Collects errors and warnings of every page in a context, hydration's among them. */
export class ConsoleWatch {
  private readonly found: string[] = [];
  private readonly expected: RegExp[] = [];

  follow(context: BrowserContext): void {
    context.on('console', (message) => {
      if (['error', 'warning', 'assert'].includes(message.type())) {
        this.found.push(`${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    context.on('weberror', (error) => this.found.push(`exception: ${error.error().message}`));
  }

  /** The browser itself logs every answer of 4xx and 5xx; a test that causes one says so. */
  expect(...patterns: RegExp[]): void {
    this.expected.push(...patterns);
  }

  check(): void {
    const unexpected = this.found.filter((line) => !this.expected.some((pattern) => pattern.test(line)));
    expect(unexpected, 'the console of the browser').toEqual([]);
  }
}
