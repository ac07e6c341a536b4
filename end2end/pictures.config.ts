// `make pictures`: the screenshots of the README, taken of the real program. Not in the gate.

import config from './playwright.config.ts';

export default { ...config, testDir: './pictures', timeout: 300_000 };
