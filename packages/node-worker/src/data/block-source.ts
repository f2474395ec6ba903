/**
 * Rows in blocks on disk, a bounded number of blocks in memory: what all formats of data larger than memory share. The
 * order of an epoch asks for rows of few blocks at a time, so the blocks it is in stay, and the oldest go.
 */
import type { ColumnTable, RowSource } from "@volary/core/data";
import { concatTables, pickRows } from "@volary/core/data/formats";

/** Puts rows of blocks together to a table. */
export interface RowGatherer<Block> {
  /** Rows of one block. */
  add(block: Block, rowsInBlock: Uint32Array): void;
  /** One row. Where it is not there, rows are put together block after block, and then in order. */
  addRow?(block: Block, rowInBlock: number): void;
  take(): ColumnTable;
}

/** For blocks that are tables. */
export function tableGatherer(names: readonly string[]): RowGatherer<ColumnTable> {
  const tables: ColumnTable[] = [];
  return {
    add(block, rows) {
      tables.push({
        rows: rows.length,
        columns: new Map(names.map((name) => [name, pickRows(block.columns.get(name)!, rows)])),
        placeOf: (row) => block.placeOf?.(rows[row]!) ?? `row ${rows[row]}`,
      });
    },
    take: () => concatTables(tables),
  };
}

export interface BlockSourceOptions<Block> {
  rows: number;
  fingerprint: string;
  testFrom: number | undefined;
  blockRows: number;
  windowBlocks: number;
  load: (block: number) => Promise<Block>;
  gatherer: (columns: readonly string[]) => RowGatherer<Block>;
  close: () => Promise<void>;
}

/** Block b holds the rows [b × blockRows, (b + 1) × blockRows). */
export function blockSource<Block>(o: BlockSourceOptions<Block>): RowSource {
  const { rows, blockRows, windowBlocks } = o;
  const cache = new BlockCache(o.load, windowBlocks);
  return {
    rows,
    fingerprint: o.fingerprint,
    blockRows,
    windowBlocks,
    testFrom: o.testFrom,
    async *scan(columns) {
      for (let block = 0; block * blockRows < rows; block++) {
        const gatherer = o.gatherer(columns);
        const count = Math.min(blockRows, rows - block * blockRows);
        gatherer.add(
          await o.load(block),
          Uint32Array.from({ length: count }, (_, row) => row),
        );
        yield gatherer.take();
      }
    },
    async read(wanted, columns) {
      const gatherer = o.gatherer(columns);
      if (gatherer.addRow) {
        checkRows(wanted, rows);
        const blocks = new Map<number, Block>();
        for (const row of wanted) {
          const block = Math.floor(row / blockRows);
          if (!blocks.has(block)) blocks.set(block, await cache.get(block));
        }
        for (const row of wanted) gatherer.addRow(blocks.get(Math.floor(row / blockRows))!, row % blockRows);
        return gatherer.take();
      }
      const { blocks, places } = byBlock(wanted, { rows, blockRows });
      for (const [block, rowsInBlock] of blocks) gatherer.add(await cache.get(block), rowsInBlock);
      const table = gatherer.take();
      return blocks.size === 1 ? table : inOrder(table, places);
    },
    async close() {
      cache.clear();
      await o.close();
    },
  };
}

/** The blocks used last. */
class BlockCache<Block> {
  readonly #load: (block: number) => Promise<Block>;
  readonly #blocksMax: number;
  /** From the one used longest ago to the one used last. */
  readonly #blocks = new Map<number, Promise<Block>>();

  constructor(load: (block: number) => Promise<Block>, blocksMax: number) {
    this.#load = load;
    this.#blocksMax = blocksMax;
  }

  get(block: number): Promise<Block> {
    const found = this.#blocks.get(block) ?? this.#load(block);
    this.#blocks.delete(block);
    this.#blocks.set(block, found);
    if (this.#blocks.size > this.#blocksMax) this.#blocks.delete(this.#blocks.keys().next().value!);
    found.catch(() => this.#blocks.delete(block));
    return found;
  }

  clear(): void {
    this.#blocks.clear();
  }
}

function checkRows(wanted: Uint32Array, rows: number): void {
  const beyond = wanted.find((row) => row >= rows);
  if (beyond !== undefined) {
    throw new RangeError(`row ${beyond} is past the end of the data, which has ${rows} rows`);
  }
}

/** The wanted rows of each block, and for each wanted row its place among all of them block after block. */
function byBlock(wanted: Uint32Array, { rows, blockRows }: { rows: number; blockRows: number }) {
  checkRows(wanted, rows);
  const counts = new Map<number, number>();
  for (const row of wanted) {
    const block = Math.floor(row / blockRows);
    counts.set(block, (counts.get(block) ?? 0) + 1);
  }
  const blocks = new Map<number, Uint32Array>();
  const next = new Map<number, number>();
  const starts = new Map<number, number>();
  let start = 0;
  for (const [block, count] of counts) {
    blocks.set(block, new Uint32Array(count));
    starts.set(block, start);
    next.set(block, start);
    start += count;
  }
  const places = new Uint32Array(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const block = Math.floor(wanted[i]! / blockRows);
    const place = next.get(block)!;
    places[i] = place;
    blocks.get(block)![place - starts.get(block)!] = wanted[i]! - block * blockRows;
    next.set(block, place + 1);
  }
  return { blocks, places };
}

function inOrder(table: ColumnTable, places: Uint32Array): ColumnTable {
  const columns = new Map(Array.from(table.columns, ([name, column]) => [name, pickRows(column, places)] as const));
  const moved = table.badRows?.map((bad) => ({ ...bad, row: places.indexOf(bad.row) }));
  return {
    rows: table.rows,
    columns,
    ...(moved === undefined ? {} : { badRows: moved.toSorted((a, b) => a.row - b.row) }),
    placeOf: (row) => table.placeOf?.(places[row]!) ?? `row ${row}`,
  };
}
