import type { Page } from '../domain/page.js';

/**
 * Turns a page into the shape that the fields of a connection type read.
 * @param more - values for the fields that only this connection type has
 */
export async function toConnection<Row, More extends object = object>(
  page: Promise<Page<Row>>,
  cursorOf: (row: Row) => string,
  more?: More,
) {
  const { rows, hasNextPage, hasPreviousPage } = await page;
  const edges = rows.map((node) => new Edge(node, cursorOf));
  return {
    ...(more as More),
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/** Computes its cursor only when it is read: most clients use just the last one of a page. */
class Edge<Row> {
  readonly node: Row;
  readonly #cursorOf: (row: Row) => string;

  constructor(node: Row, cursorOf: (row: Row) => string) {
    this.node = node;
    this.#cursorOf = cursorOf;
  }

  get cursor(): string {
    return this.#cursorOf(this.node);
  }
}
