/** What keeps each attack out, and how to take it away: the named tests have to notice. Patches of src/, as texts. */

export interface Guard {
  /** The attack that gets through without it. */
  attack: string
  /** How it is taken away, in words. */
  removal: string
  edits: readonly (readonly [file: string, find: string, replace: string])[]
  /** Of test/integration/, without `hostile-` and `.test.ts`. */
  test: 'headers' | 'http' | 'tokens' | 'bodies' | 'replays'
  /** Part of the names of the tests that fail then. */
  names: string
}

const server = 'src/receive/server.ts'
const headers = 'src/verify/headers.ts'
const signature = 'src/verify/signature.ts'
const standard = 'src/verify/standard-webhooks.ts'
const token = 'src/verify/token.ts'
const event = 'src/route/event.ts'
const json = 'src/verify/json.ts'
const body = 'src/receive/body.ts'

const lenientParser = [server, '      noDelay: true,', '      noDelay: true, insecureHTTPParser: true,'] as const

const claimsBegin = '    const { alg, kid } = readHeader(token, dynamic.algorithms)\n'
const jwtVerifyCall = `        const { payload } = await jwtVerify(
          token,
          key,
          dynamic.audience === 'any' ? options : { ...options, audience: dynamic.audience },
        )`

export const guards: readonly Guard[] = [
  {
    attack: 'doubled webhook headers',
    removal: 'the first of several values is taken',
    edits: [[headers, 'if (values.length > 1) throw', 'if (values.length > 100) throw']],
    test: 'headers',
    names: 'a doubled header',
  },
  {
    attack: 'missing headers',
    removal: 'a header that is missing is read as empty',
    edits: [
      [
        headers,
        "if (value === undefined || value === '') throw new Refusal('missing_header', `${header} is missing`)\n  return value",
        "return value ?? ''",
      ],
    ],
    test: 'headers',
    names: 'a missing header',
  },
  {
    attack: 'huge headers, below the limit of all',
    removal: 'an id of any length and of any characters',
    edits: [[headers, '/^[\\x21-\\x7e]{1,256}$/', '/./']],
    test: 'headers',
    names: 'a huge header of 15 KB|an id',
  },
  {
    attack: 'huge headers, above the limit of all; oversized tokens',
    removal: 'a megabyte of headers is read',
    edits: [[server, 'maxHeaderBytes: 16_384', 'maxHeaderBytes: 1_048_576']],
    test: 'headers',
    names: 'a huge header of 60 KB',
  },
  {
    attack: 'oversized tokens',
    removal: 'a megabyte of headers is read',
    edits: [[server, 'maxHeaderBytes: 16_384', 'maxHeaderBytes: 1_048_576']],
    test: 'tokens',
    names: 'an oversized token',
  },
  {
    attack: 'control bytes in headers',
    removal: "Node's lenient parser",
    edits: [lenientParser],
    test: 'headers',
    names: 'a control byte',
  },
  {
    attack: 'folded headers',
    removal: "Node's lenient parser",
    edits: [lenientParser],
    test: 'headers',
    names: 'a folded header',
  },
  {
    attack: 'timestamps that are none: negative, float, hex, overflow',
    removal: 'whatever Number() reads is a timestamp',
    edits: [[headers, 'if (!timestampShape.test(timestamp)) throw', 'if (Number.isNaN(Number(timestamp))) throw']],
    test: 'headers',
    names: 'a timestamp that is',
  },
  {
    attack: 'stale timestamps',
    removal: 'no tolerance is kept',
    edits: [[headers, 'if (Math.abs(age) > toleranceSeconds) {', 'if (Math.abs(age) > Infinity) {']],
    test: 'headers',
    names: 'a timestamp of',
  },
  {
    attack: 'future timestamps',
    removal: 'the clock is looked at from one side',
    edits: [[headers, 'Math.abs(age) > toleranceSeconds', 'age > toleranceSeconds']],
    test: 'headers',
    names: 'a timestamp of',
  },
  {
    attack: 'exactly 300 s',
    removal: 'the limit does not belong to what passes',
    edits: [[headers, 'Math.abs(age) > toleranceSeconds', 'Math.abs(age) >= toleranceSeconds']],
    test: 'headers',
    names: 'a timestamp of exactly',
  },
  {
    attack: 'HMAC signatures in other spellings: url-safe, unpadded',
    removal: 'decoded bytes are compared, of any length of text',
    edits: [
      [signature, "entry.startsWith('v1,') && entry.length === hmacEntryLength", "entry.startsWith('v1,')"],
      [
        standard,
        'signatures.map((signature) => Buffer.from(signature))',
        "signatures.map((signature) => Buffer.from(signature, 'base64'))",
      ],
      [
        standard,
        "Buffer.from(createHmac('sha256', secret).update(prefix).update(content.body).digest('base64'))",
        "createHmac('sha256', secret).update(prefix).update(content.body).digest()",
      ],
    ],
    test: 'headers',
    names: String.raw`a signature \(hmac\)`,
  },
  {
    attack: 'Ed25519 signatures in other spellings',
    removal: 'base64 is read as Node reads it',
    edits: [['src/verify/base64.ts', "bytes.toString('base64') === text ? bytes : undefined", 'bytes']],
    test: 'headers',
    names: String.raw`a signature \(ed25519\)`,
  },
  {
    attack: 'signatures of a wrong version',
    removal: 'any version is taken for v1',
    edits: [
      [
        signature,
        "if (entry.startsWith('v1,') && entry.length === hmacEntryLength) hmac.push(entry.slice('v1,'.length))",
        "hmac.push(entry.slice(entry.indexOf(',') + 1))",
      ],
    ],
    test: 'headers',
    names: 'version',
  },
  {
    attack: 'HMAC signatures of another id or body, truncated, by a strange key',
    removal: 'nothing is compared',
    edits: [
      [
        standard,
        'given.some((bytes) => bytes.length === expected.length && timingSafeEqual(bytes, expected))',
        'expected.length > 0 && given.length > 0',
      ],
    ],
    test: 'headers',
    names: String.raw`\(hmac\) (is for its id|by a key|that is of zeros)|an HMAC with an empty key`,
  },
  {
    attack: 'Ed25519 signatures of another id or body, truncated, by a strange key',
    removal: 'nothing is verified',
    edits: [[standard, 'verify(null, message, key, signature)', 'key.type !== message.toString() && signature.length > 0']],
    test: 'headers',
    names: String.raw`\(ed25519\) (is for its id|by a key|that is of zeros)`,
  },
  {
    attack: 'an HMAC with an empty key',
    removal: 'a secret that is empty is one',
    edits: [
      [
        'src/verify/verifier.ts',
        'const secrets = source.secrets.map(',
        'const secrets = [createSecretKey(Buffer.alloc(0))].concat(source.secrets).map(',
      ],
      [
        'src/verify/verifier.ts',
        'createSecretKey(decodeSecret(secret, secretLabel(source.name, index))))',
        "typeof secret === 'string' ? createSecretKey(decodeSecret(secret, secretLabel(source.name, index))) : secret)",
      ],
    ],
    test: 'headers',
    names: 'an HMAC with an empty key',
  },
  {
    attack: 'an HMAC for another source',
    removal: 'all sources share their secrets',
    edits: [
      [
        'src/verify/verifier.ts',
        '/** @throws RelayError `config_invalid` for a secret that is not one */',
        'const everybodys: ReturnType<typeof createSecretKey>[] = []\n',
      ],
      [
        'src/verify/verifier.ts',
        '  const jwks = source.dynamic && createJwks',
        '  everybodys.push(...secrets)\n  const jwks = source.dynamic && createJwks',
      ],
      ['src/verify/verifier.ts', 'matchesHmac(content, signatures, secrets)', 'matchesHmac(content, signatures, everybodys)'],
    ],
    test: 'headers',
    names: 'an HMAC for another source',
  },
  {
    attack: 'more than eight entries',
    removal: 'all entries are looked at',
    edits: [[signature, 'const maxEntries = 8', 'const maxEntries = 10_000']],
    test: 'headers',
    names: 'is found among eight entries',
  },
  {
    attack: 'malleable Ed25519 signatures',
    removal: 'S is reduced before it is verified',
    edits: [
      [standard, 'verify(null, message, key, signature)', 'verify(null, message, key, reduced(signature))'],
      [
        standard,
        '/** The rest of an id',
        `function reduced(signature: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = signature.subarray(32).reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n) % order
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').toReversed()])
}

/** The rest of an id`,
      ],
    ],
    test: 'headers',
    names: 'the order of the group',
  },
  {
    attack: 'alg: none',
    removal: 'a token that says none is believed',
    edits: [
      [
        token,
        claimsBegin,
        `    if (/^none$/i.test(String(decodeHeader(token).alg))) return parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims\n${claimsBegin}`,
      ],
    ],
    test: 'tokens',
    names: 'alg: none|with alg twice, the last of which is none',
  },
  {
    attack: 'HS256, HS384 and HS512 with a published key',
    removal: 'the algorithm of the token decides how the PEM of a key is used',
    edits: [
      [
        token,
        claimsBegin,
        `    const hash = /^HS(\\d+)$/.exec(String(decodeHeader(token).alg))?.[1]
    for (const known of hash === undefined ? [] : (['RS256', 'ES256', 'EdDSA'] as const)) {
      for (const key of (await jwks.keys()).forToken(known, undefined)) {
        const [head, payload, given] = token.split('.')
        for (const secret of [key.export({ type: 'spki', format: 'pem' }), key.export({ type: 'spki', format: 'der' })])
          if (createHmac(\`sha\${hash}\`, secret).update(\`\${head}.\${payload}\`).digest('base64url') === given) return parseJson(Buffer.from(payload ?? '', 'base64url')) as Claims
      }
    }
${claimsBegin}`,
      ],
      [token, 'import { createHash,', 'import { createHash, createHmac,'],
    ],
    test: 'tokens',
    names: 'a published key as the secret',
  },
  {
    attack: 'kid: path, SQL, prototype names, lists, very long',
    removal: 'the kid is not looked at',
    edits: [
      ['src/verify/key-set.ts', '(kid === undefined || key.kid === kid)', '(kid === undefined || key.kid !== undefined)'],
      [
        token,
        "if (header.kid !== undefined && typeof header.kid !== 'string') throw invalid('the token is malformed')\n  return { alg, kid: header.kid }",
        'return { alg, kid: header.kid }',
      ],
    ],
    test: 'tokens',
    names: 'a kid',
  },
  {
    attack: 'a token of another type of key',
    removal: 'whatever type a key has, it verifies as its type does',
    edits: [
      [
        token,
        claimsBegin,
        `${claimsBegin}    const at = token.lastIndexOf('.')
    const known = await jwks.keys()
    const keysOfAll = [...known.forToken('RS256', undefined), ...known.forToken('ES256', undefined)]
    for (const key of keysOfAll)
      if (alg !== undefined && verify('sha256', Buffer.from(token.slice(0, at)), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(token.slice(at + 1), 'base64url'))) return parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims
`,
      ],
      [token, 'import { createHash,', 'import { createHash, verify,'],
    ],
    test: 'tokens',
    names: 'of another trusted key',
  },
  {
    attack: 'jwk in the header',
    removal: 'a token may bring its key',
    edits: [
      [
        token,
        claimsBegin,
        `    const { jwk } = decodeHeader(token)\n    if (jwk !== undefined) return (await jwtVerify(token, createPublicKey({ key: jwk as never, format: 'jwk' }))).payload\n${claimsBegin}`,
      ],
      [token, 'import { createHash,', 'import { createHash, createPublicKey,'],
    ],
    test: 'tokens',
    names: 'a token that brings its own key or says',
  },
  {
    attack: 'jku and x5u in the header',
    removal: 'a token may say where its key is',
    edits: [
      [
        token,
        claimsBegin,
        `    const { jku, x5u } = decodeHeader(token)\n    if (typeof (jku ?? x5u) === 'string') await fetch(String(jku ?? x5u)).catch(() => undefined)\n${claimsBegin}`,
      ],
    ],
    test: 'tokens',
    names: 'a token that brings its own key or says',
  },
  {
    attack: 'x5c in the header',
    removal: 'a token may bring its certificate',
    edits: [
      [
        token,
        claimsBegin,
        `    const { x5c } = decodeHeader(token)\n    if (x5c !== undefined) return (await jwtVerify(token, createPublicKey({ key: Buffer.from(x5c[0] ?? '', 'base64'), format: 'der', type: 'spki' }))).payload\n${claimsBegin}`,
      ],
      [token, 'import { createHash,', 'import { createHash, createPublicKey,'],
    ],
    test: 'tokens',
    names: 'a token that brings its own key or says',
  },
  {
    attack: 'unknown keys that make the relay ask for new ones',
    removal: 'no cooldown between fetches',
    edits: [['src/verify/jwks.ts', 'const missCooldownMs = 30_000', 'const missCooldownMs = 0']],
    test: 'tokens',
    names: 'a token that brings its own key',
  },
  {
    attack: 'crit and b64',
    removal: 'extensions are left to the library',
    edits: [[token, "if (Object.hasOwn(header, 'crit')) throw", "if (Object.hasOwn(header, 'critical')) throw"]],
    test: 'tokens',
    names: 'a token that asks for an extension',
  },
  {
    attack: 'algorithms that are not configured',
    removal: 'any algorithm of a published key',
    edits: [
      [
        token,
        'const alg = algorithms.find((known) => known === header.alg)',
        "const alg = algorithms.find((known) => known[0] === header.alg?.replace('P', 'R')[0])",
      ],
      [token, 'algorithms: [alg], ', ''],
    ],
    test: 'tokens',
    names: 'which is not configured',
  },
  {
    attack: 'nested and doubled keys in the header of a token',
    removal: 'what stands first counts',
    edits: [
      [
        token,
        claimsBegin,
        `    const first = /"alg":"(\\w+)"/.exec(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())?.[1]\n    if (first === 'none' || (first === 'ES256' && decodeHeader(token).alg !== 'ES256')) return parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims\n${claimsBegin}`,
      ],
    ],
    test: 'tokens',
    names: 'a header of a token with (alg|its members)',
  },
  {
    attack: 'a psychic signature: zeros',
    removal: 'zeros verify, as they did in Java',
    edits: [
      [
        token,
        claimsBegin,
        `    if (/\\.A+$/.test(token)) return parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims\n${claimsBegin}`,
      ],
    ],
    test: 'tokens',
    names: 'of zeros',
  },
  {
    attack: 'a signature in DER',
    removal: 'both encodings are taken',
    edits: [
      [
        token,
        claimsBegin,
        `${claimsBegin}    const at = token.lastIndexOf('.')\n    for (const key of (await jwks.keys()).forToken(alg, kid)) if (alg === 'ES256' && verify('sha256', Buffer.from(token.slice(0, at)), key, Buffer.from(token.slice(at + 1), 'base64url'))) return parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims\n`,
      ],
      [token, 'import { createHash,', 'import { createHash, verify,'],
    ],
    test: 'tokens',
    names: 'in DER',
  },
  {
    attack: 'tokens that a stranger has signed, or nobody',
    removal: 'claims are read without verifying',
    edits: [
      [
        token,
        jwtVerifyCall,
        "        if (key.type !== 'public') throw new Error('no key')\n        const payload = parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url')) as Claims",
      ],
    ],
    test: 'tokens',
    names: 'a signature of a token',
  },
  {
    attack: 'expired tokens, and tokens before their time',
    removal: 'years of leeway',
    edits: [[token, 'const leewaySeconds = 60', 'const leewaySeconds = 3_000_000_000']],
    test: 'tokens',
    names: 'that have expired|that are not valid yet',
  },
  {
    attack: 'tokens for another audience, or several',
    removal: 'the audience is not looked at',
    edits: [[token, "dynamic.audience === 'any' ? options", "dynamic.audience !== '' ? options"]],
    test: 'tokens',
    names: 'audience|for several others|for nobody',
  },
  {
    attack: 'a captured token with another id or body',
    removal: 'what a token was used for is not kept',
    edits: [
      [
        'src/accept/tokens.ts',
        "request.token.reuse === 'accept') return false",
        'request.token.reuse !== undefined) return false',
      ],
    ],
    test: 'replays',
    names: 'works for the id it first came with|comes twice at once|works once',
  },
  {
    attack: 'a captured token, respelled',
    removal: 'the whole token is what is kept',
    edits: [[token, "sha256(token.slice(0, token.lastIndexOf('.')))", 'sha256(token)']],
    test: 'replays',
    names: 'the second signature that ECDSA has',
  },
  {
    attack: 'a captured token with the event of another body',
    removal: 'claims and body are not compared',
    edits: [[token, 'body.length > 0 && !isSameEvent(envelope, json)', 'body.length > 1e9 && !isSameEvent(envelope, json)']],
    test: 'replays',
    names: 'does not pass with another body',
  },
  {
    attack: 'a token with the event in its claims, used twice where unbound tokens may be',
    removal: 'accept is for all tokens',
    edits: [[token, "envelope === undefined && dynamic.unboundJwt === 'accept'", "dynamic.unboundJwt === 'accept'"]],
    test: 'replays',
    names: 'works once',
  },
  {
    attack: 'a token that names no event where the source refuses them',
    removal: 'reject is as once',
    edits: [[token, "dynamic.unboundJwt === 'reject'", "dynamic.unboundJwt === 'never'"]],
    test: 'replays',
    names: 'the source says reject',
  },
  {
    attack: 'the line between id, timestamp and body drawn elsewhere',
    removal: 'it is not looked for',
    edits: [[standard, 'if (json !== undefined) return false\n', 'if (content.id !== json) return false\n']],
    test: 'replays',
    names: 'drawn elsewhere|a shorter id',
  },
  {
    attack: 'the same id with another body',
    removal: 'the last one is stored',
    edits: [
      [
        'src/accept/commit-statement.ts',
        'on conflict (source, webhook_id) do nothing returning id, 1::bigint as n',
        'on conflict (source, webhook_id) do update set body = excluded.body returning id, 1::bigint as n',
      ],
      [
        'src/accept/commit-statement.ts',
        'on conflict (source, webhook_id) do nothing\n',
        'on conflict (source, webhook_id) do update set body = excluded.body\n',
      ],
    ],
    test: 'replays',
    names: 'a known id',
  },
  {
    attack: 'deep nesting: reading',
    removal: 'JSON is read by recursion',
    edits: [
      [
        json,
        "return JSON.parse(bytes.toString('utf8'))",
        "return JSON.parse(bytes.toString('utf8'), (_, value: unknown) => value)",
      ],
    ],
    test: 'bodies',
    names: 'a body that nests deeply',
  },
  {
    attack: 'deep nesting: conditions',
    removal: 'conditions see an event however deep it is',
    edits: [['src/route/view.ts', 'const maxDataDepth = 64', 'const maxDataDepth = 1_000_000']],
    test: 'bodies',
    names: 'a body that nests deeply',
  },
  {
    attack: '__proto__ and constructor: pollution',
    removal: 'bodies are copied by a naive deep merge',
    edits: [
      [json, "return JSON.parse(bytes.toString('utf8'))", "return merged({}, JSON.parse(bytes.toString('utf8')))"],
      [
        json,
        'import { isUtf8 }',
        `function merged(into: Record<string, unknown>, from: unknown): unknown {
  if (typeof from !== 'object' || from === null) return from
  for (const [key, value] of Object.entries(from)) {
    if (typeof value === 'object' && value !== null) merged((into[key] ??= {}) as Record<string, unknown>, value)
    else into[key] = value
  }
  return into
}

import { isUtf8 }`,
      ],
    ],
    test: 'bodies',
    names: 'a member that is named',
  },
  {
    attack: 'constructor: conditions',
    removal: 'conditions see objects as they are',
    edits: [['src/route/view.ts', "depth >= maxDataDepth || Object.hasOwn(json, 'constructor')", 'depth >= maxDataDepth']],
    test: 'bodies',
    names: 'does not keep a condition',
  },
  {
    attack: 'invalid UTF-8',
    removal: 'bytes that are none are replaced',
    edits: [[json, 'bytes.length === 0 || !isUtf8(bytes)', 'bytes.length === 0 && !isUtf8(bytes)']],
    test: 'bodies',
    names: 'a body that is not UTF-8',
  },
  {
    attack: 'a byte order mark',
    removal: 'it is taken off',
    edits: [[json, "JSON.parse(bytes.toString('utf8'))", "JSON.parse(bytes.toString('utf8').replace('\\uFEFF', ''))"]],
    test: 'bodies',
    names: 'a byte order mark',
  },
  {
    attack: 'huge numbers',
    removal: 'infinity is a number',
    edits: [[event, "typeof value === 'number' && Number.isFinite(value)", "typeof value === 'number'"]],
    test: 'bodies',
    names: 'a number',
  },
  {
    attack: 'doubled keys',
    removal: 'the type that stands first counts',
    edits: [
      [
        json,
        "return JSON.parse(bytes.toString('utf8'))",
        `const value = JSON.parse(bytes.toString('utf8'))
    const type = /"type":"([^"]*)"/.exec(bytes.toString('utf8'))?.[1]
    if (value !== null && typeof value === 'object' && typeof value.type === 'string') value.type = type
    return value`,
      ],
    ],
    test: 'bodies',
    names: 'of doubled keys',
  },
  {
    attack: 'NUL in texts, and texts that no column holds',
    removal: 'texts go to Postgres as they are',
    edits: [
      [
        event,
        "if (text.length <= maxColumnBytes && isAscii(text) && !text.includes('\\0')) return text === '' ? undefined : text",
        "return text === '' ? undefined : text",
      ],
    ],
    test: 'bodies',
    names: 'a text',
  },
  {
    attack: 'lone surrogates',
    removal: 'a column is written as UTF-16 has it',
    edits: [
      [
        event,
        "Buffer.from(text.replaceAll('\\0', ''), 'utf8')",
        "Buffer.from(text.replaceAll('\\0', '').replaceAll(/[\\ud800-\\udfff]/g, ''), 'utf8')",
      ],
    ],
    test: 'bodies',
    names: 'surrogate',
  },
  {
    attack: 'compressed bodies',
    removal: 'the coding is not looked at',
    edits: [
      [
        'src/receive/webhook.ts',
        'encoding !== undefined && encoding.trim()',
        'encoding !== undefined && false && encoding.trim()',
      ],
    ],
    test: 'bodies',
    names: 'a compressed body',
  },
  {
    attack: 'oversized bodies',
    removal: 'the limit is far away',
    edits: [
      [
        body,
        'export function readBody(request: IncomingMessage, limitBytes: number, hold: Hold): Promise<Buffer> {',
        'export function readBody(request: IncomingMessage, limit: number, hold: Hold): Promise<Buffer> {\n  const limitBytes = limit * 1_000',
      ],
    ],
    test: 'bodies',
    names: 'an oversized body',
  },
  {
    attack: 'chunked oversize',
    removal: 'only Content-Length is looked at',
    edits: [
      [
        body,
        '    request.on(',
        "    if (Number(request.headers['content-length']) > limitBytes) return reject(tooLarge())\n    if (request.headers['content-length'] === undefined) limitBytes = Infinity\n    request.on(",
      ],
    ],
    test: 'bodies',
    names: 'in chunks is counted',
  },
  {
    attack: 'a Content-Length of gigabytes',
    removal: 'it is read, however much is announced',
    edits: [[body, 'if (declared > limitBytes + discardBytes) return reject(tooLarge(limitBytes))', '']],
    test: 'http',
    names: 'by gigabytes',
  },
  {
    attack: 'request smuggling: CL and TE, TE.TE, doubled CL, bare LF, CL with a sign',
    removal: "Node's lenient parser",
    edits: [lenientParser],
    test: 'http',
    names: 'two lengths',
  },
  {
    attack: 'chunks that lie, with signs, with bare LF',
    removal: 'what is wrong is repaired before it is parsed, as a lenient parser would',
    edits: [
      [
        server,
        "  server.on('clientError'",
        `  server.on('connection', (socket) => {
    const emit = socket.emit.bind(socket)
    socket.emit = (name: string, ...args: unknown[]) =>
      emit(name, ...args.map((arg) => (name === 'data' && Buffer.isBuffer(arg) ? repaired(arg) : arg)))
    socket.on('data', () => {})
  })
  server.on('clientError'`,
      ],
      [
        server,
        'type Handler =',
        `function repaired(chunk: Buffer): Buffer {
  const text = chunk.toString('latin1').replaceAll(/(?<!\\r)\\n/g, '\\r\\n')
  return Buffer.from(text.replaceAll(/(\\r\\n)(?:\\+|0x)([0-9a-f]+\\r\\n)/g, '$1$2'), 'latin1')
}

type Handler =`,
      ],
    ],
    test: 'http',
    names: 'whose chunks have',
  },
  {
    attack: 'a Content-Length that lies about a signed body',
    removal: 'nothing is compared',
    edits: [
      [
        standard,
        'given.some((bytes) => bytes.length === expected.length && timingSafeEqual(bytes, expected))',
        'expected.length > 0 && given.length > 0',
      ],
    ],
    test: 'http',
    names: 'by less',
  },
  {
    attack: 'pipelining: an answer that overtakes others',
    removal: 'what breaks is answered at once',
    edits: [
      [
        'src/receive/broken.ts',
        'if (pending === undefined) return end(error, socket, lingerMs)',
        'if (pending !== undefined || pending === undefined) return end(error, socket, lingerMs)',
      ],
    ],
    test: 'http',
    names: 'keep their own answers',
  },
  {
    attack: 'pipelining: a request judged by the one before it',
    removal: 'a verdict holds for the connection',
    edits: [
      [
        'src/receive/webhook.ts',
        '    const verifying = verifier.verify({',
        '    const verifying = verdicts.get(ctx.req.socket) ?? verifier.verify({',
      ],
      [
        'src/receive/webhook.ts',
        '      verified = verifying instanceof',
        '      verdicts.set(ctx.req.socket, verifying)\n      verified = verifying instanceof',
      ],
      [
        'src/receive/webhook.ts',
        'interface WebhookHeaders {',
        'const verdicts = new WeakMap<object, ReturnType<Verifier["verify"]>>()\n\ninterface WebhookHeaders {',
      ],
    ],
    test: 'http',
    names: 'are answered in order',
  },
  {
    attack: 'targets that are another spelling of a path',
    removal: 'a path is normalised before it is looked for',
    edits: [
      [
        'src/receive/app.ts',
        'receivers.get(ctx.req.url)',
        "receivers.get(decodeURIComponent(new URL(ctx.req.url.replace(/^\\/\\//, '/').replace(';x', ''), 'http://relay').pathname))",
      ],
    ],
    test: 'http',
    names: 'leads nowhere',
  },
  {
    attack: 'requests without a host, and of other versions of HTTP',
    removal: "Node's parser decides",
    edits: [['src/receive/answers.ts', '      checkHttp(ctx.req)\n', '']],
    test: 'http',
    names: 'that ends with|without a Host header',
  },
  {
    attack: 'CONNECT',
    removal: 'somebody listens for it, and does nothing',
    edits: [[server, "  server.on('clientError'", "  server.on('connect', () => {})\n  server.on('clientError'"]],
    test: 'http',
    names: 'CONNECT',
  },
  {
    attack: 'Expect',
    removal: "Node's own answer",
    edits: [[server, "server.on('checkExpectation'", "server.on('neverExpected'"]],
    test: 'http',
    names: 'Expect of anything else',
  },
  {
    attack: 'a slow drip',
    removal: 'a request may take five minutes',
    edits: [[server, 'requestTimeoutMs: 15_000', 'requestTimeoutMs: 300_000']],
    test: 'http',
    names: 'of a body is given up',
  },
]
