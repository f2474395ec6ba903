/**
 * @file A table that scrolls sideways where it is too wide, by keyboard too; on a phone each row is a list of its cells.
 * Its roles are written out because that layout would take them away.
 */
import type { ComponentChildren } from "preact";

export interface Column {
  head: string;
  /** Numbers stand at the end of their cells. */
  kind?: "text" | "number";
}

export interface Row {
  key: string | number;
  /** As many as there are columns; the first one names the row. */
  cells: ComponentChildren[];
}

/** Rows under a caption for those who listen; or `empty`, where there is none. */
export function Table({
  caption,
  columns,
  rows,
  empty,
}: {
  caption: string;
  columns: readonly Column[];
  rows: readonly Row[];
  empty?: ComponentChildren;
}) {
  if (rows.length === 0 && empty !== undefined) return <p class="empty">{empty}</p>;
  return (
    <div class="table-frame" role="group" aria-label={caption} tabIndex={0}>
      <table class="table" role="table">
        <caption class="unseen">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ head, kind }) => (
              <th key={head} scope="col" role="columnheader" class={kind}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map(({ key, cells: [name, ...cells] }) => (
            <tr key={key} role="row">
              <th scope="row" role="rowheader" class={columns[0]?.kind}>
                {name}
              </th>
              {cells.map((cell, i) => (
                <td key={i} role="cell" class={columns[i + 1]?.kind} data-head={columns[i + 1]?.head}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
