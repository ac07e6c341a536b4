// failures.mjs REPORT: the journeys that failed, each with the first lines of why.
//
// REPORT is what Playwright's JSON reporter wrote. Read by tools/test at its very end.
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const LINES = 8;

function* failed(suite, titles) {
  for (const spec of suite.specs ?? []) {
    if (!spec.ok) yield { title: [...titles, spec.title].join(' > '), spec };
  }
  for (const inner of suite.suites ?? []) yield* failed(inner, [...titles, inner.title]);
}

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const suite of report.suites ?? []) {
  for (const { title, spec } of failed(suite, [suite.title])) {
    console.log(`\nFAIL  ${title}`);
    const results = spec.tests.flatMap((test) => test.results);
    const error = results.flatMap((result) => result.errors ?? []).find((one) => one.message);
    const lines = stripVTControlCharacters(error?.message ?? 'without a word').split('\n');
    for (const line of lines.filter((one) => one.trim()).slice(0, LINES)) console.log(`      ${line}`);
    if (error?.location) console.log(`      at ${error.location.file}:${error.location.line}`);
  }
}
// What broke before or between the journeys.
for (const error of report.errors ?? []) {
  console.log(`\nFAIL  ${stripVTControlCharacters(error.message ?? '').split('\n').slice(0, LINES).join('\n      ')}`);
}
