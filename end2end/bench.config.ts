// `make bench`: what is measured with the whole program rather than judged. Not in the gate.

import config from './playwright.config.ts';

export default {
  ...config,
  testDir: './bench',
  projects: [{ name: 'bench', outputDir: './test-results/bench' }],
  reporter: [['list']],
  timeout: 1_200_000,
};
