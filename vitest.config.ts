import { existsSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

/** Each starts a real service once for all test files, or takes the one that its variable names. */
const services = ['test/setup/postgres.ts', 'test/setup/kafka.ts']

export default defineConfig({
  test: {
    include: ['test/{unit,integration,e2e}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/setup/kafka-reporter.ts'],
    globalSetup: services.filter((file) => existsSync(new URL(file, import.meta.url))),
  },
})
