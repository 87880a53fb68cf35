#!/usr/bin/env node
/** `npm run demo`: makes the machine ready, then runs the demo. Both read the arguments. */

await import('./setup.mjs');
await import('../dist/demo/main.js');
