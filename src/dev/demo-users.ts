import { readFileSync } from 'node:fs';
import type { Demo } from './demo-history.js';

/** The relative path is the same from src/dev and from dist/dev. */
const demoFile = new URL('../../prisma/demo.json', import.meta.url);

export const readDemo = (): Demo => JSON.parse(readFileSync(demoFile, 'utf8')) as Demo;

/** The people of the demo, who sign in without a password. */
export const readDemoUsers = (): Demo['users'] => readDemo().users;
