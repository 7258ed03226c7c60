/** What the embedded Postgres is told, for the relay's load: many small commits, keys that arrive in no order. */

export type Settings = Record<string, string | number>

const mb = 1_048_576

/**
 * Grown tables lose most to full-page images of random index leaves, so memory, WAL between checkpoints and its
 * compression are set above Postgres' defaults; they shrink on small machines.
 *
 * @param memory bytes this process may use
 * @param freeDisk bytes
 */
export function defaultSettings({ memory, freeDisk, lz4 }: { memory: number; freeDisk: number; lz4: boolean }): Settings {
  const maxWalMb = clamp(Math.floor(freeDisk / mb / 8), 256, 4_096)
  return {
    shared_buffers: `${clamp(Math.floor(memory / mb / 8), 32, 256)}MB`,
    max_wal_size: `${maxWalMb}MB`,
    min_wal_size: `${Math.min(1_024, maxWalMb / 2)}MB`,
    wal_compression: lz4 ? 'lz4' : 'pglz',
    checkpoint_timeout: '15min',
    max_connections: 100,
    // A 2xx means committed: these are Postgres' defaults, stated because a promise stands on them.
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    huge_pages: 'off',
    // Deliveries are updated soon after they are inserted: little and often keeps their tables small.
    autovacuum_naptime: '15s',
    autovacuum_vacuum_scale_factor: 0.05,
    autovacuum_vacuum_cost_limit: 2_000,
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    // No row values and no statements in the log.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
  }
}

export function settingArgs(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value))
}
