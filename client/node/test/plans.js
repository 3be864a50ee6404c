// SPDX-License-Identifier: BSD-3-Clause
// For tests/system/test_node_client.py: plans.js SOCKET PUBLIC_KEY asks for what stands on standard input, a JSON list of
// [what, ...arguments], all at once and attested, and prints a JSON list of what came: results, or {error}.
import { readFileSync } from 'node:fs';
import { Client } from '../lib/index.js';

const [socket, publicKey] = process.argv.slice(2);
const client = new Client({ socket, publicKey, attest: true, timeoutMs: 15000 });
const asked = JSON.parse(readFileSync(0, 'utf8'));
const ask = ([what, ...rest]) => client[what](...rest).catch((error) => ({ error: `${error.name}: ${error.message}` }));
console.log(JSON.stringify(await Promise.all(asked.map(ask)), (_, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value)));
