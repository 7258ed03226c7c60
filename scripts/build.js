// Compiles src to dist and copies what tsc does not: the SQL migrations.
import { execFileSync } from 'node:child_process'
import { cpSync, chmodSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
rmSync(join(root, 'dist'), { recursive: true, force: true })
execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root })
cpSync(join(root, 'src/store/migrations'), join(root, 'dist/store/migrations'), { recursive: true })
chmodSync(join(root, 'dist/main.js'), 0o755)
