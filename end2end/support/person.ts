// Somebody who is signed in and speaks to the server functions directly, as a form without wasm
// does. For what a journey needs before it begins, and for asking what a page would show.

import type { BrowserContext } from '@playwright/test';
import type { Pilothouse } from './pilothouse.ts';

export const PASSWORD = 'a long enough sentence 7';

/** What a server function said no with. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

type Fields = Record<string, string | number | boolean>;

export class Person {
  private constructor(
    private readonly pilothouse: Pilothouse,
    readonly name: string,
    private cookie: string,
  ) {}

  /** Makes the first admin by the one-time link, or signs in as it where it is there already. */
  static async admin(pilothouse: Pilothouse, name = 'Ana'): Promise<Person> {
    const person = new Person(pilothouse, name, '');
    let link: string;
    try {
      link = pilothouse.firstAdminLink();
    } catch {
      return Person.signIn(pilothouse, name);
    }
    const token = new URL(link).searchParams.get('token') ?? '';
    await person.call('people/make-first-admin', { token, name, password: PASSWORD, again: PASSWORD });
    return person;
  }

  static async signIn(pilothouse: Pilothouse, name: string, password = PASSWORD): Promise<Person> {
    const person = new Person(pilothouse, name, '');
    await person.call('people/sign-in', { name, password });
    return person;
  }

  /** Adds somebody with a role; empty project and environment are "any". */
  async adds(name: string, role?: string, project = '', environment = ''): Promise<Person> {
    const person = await this.call<string>('people/add', { name, password: PASSWORD });
    if (role) await this.call('people/give-grant', { person, role, project, environment });
    return Person.signIn(this.pilothouse, name);
  }

  /** The raw answer of an address. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.pilothouse.url}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { cookie: this.cookie, origin: this.pilothouse.url, ...init.headers },
    });
  }

  /** Calls a server function by its endpoint, for example `rollouts/start`. */
  async call<T = unknown>(endpoint: string, fields: Fields = {}): Promise<T> {
    const body = new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    const response = await this.fetch(`/api/${endpoint}`, {
      method: 'POST',
      body,
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    });
    for (const cookie of response.headers.getSetCookie()) this.cookie = cookie.split(';')[0];
    const text = await response.text();
    if (!response.ok) {
      let code = 'unreadable';
      try {
        code = (JSON.parse(text) as { code: string }).code;
      } catch {
        // The text says it.
      }
      throw new Refusal(response.status, code, `${endpoint}: ${response.status} ${text.slice(0, 500)}`);
    }
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** Gives a browser this person's session. */
  async enters(context: BrowserContext): Promise<void> {
    const [name, ...value] = this.cookie.split('=');
    await context.addCookies([
      { name, value: value.join('='), url: this.pilothouse.url.replace('http:', 'https:'), secure: true, httpOnly: true, sameSite: 'Lax' },
    ]);
  }
}
