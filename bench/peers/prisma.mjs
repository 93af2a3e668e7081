import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../../dist/db/generated/prisma/client.js';

/** Has as many connections as Fairway has for reads and writes together. */
export const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, max: 20 }),
  log: [],
});
