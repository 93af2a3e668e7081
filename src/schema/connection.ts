import type { Page } from '../domain/page.js';

/** A page in the shape that a connection's fields read. */
export async function toConnection<Row>(page: Promise<Page<Row>>, cursorOf: (row: Row) => string) {
  const { rows, hasNextPage, hasPreviousPage } = await page;
  const edges = rows.map((node) => ({ node, cursor: cursorOf(node) }));
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
