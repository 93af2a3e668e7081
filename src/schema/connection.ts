import type { Page } from '../domain/page.js';

/**
 * A page in the shape that a connection's fields read.
 * @param more - for the connection's fields beyond those of every connection
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

/** Makes its cursor when it is asked for: most clients take the page's last one. */
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
