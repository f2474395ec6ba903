/**
 * Text of others on a terminal: how many columns it takes, and nothing in it that commands the terminal.
 *
 * @see Unicode Standard Annex #11 (East Asian Width); close enough for names, not for every script
 */

/** One line without control characters, which could move the cursor or colour what follows. */
export const plainText = (text: string): string => text.replaceAll(/\s+/g, " ").replaceAll(COMMANDS, "\ufffd");

/** Controls, and marks that turn the writing direction. */
// oxlint-disable-next-line no-control-regex
const COMMANDS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Columns of a terminal. */
export function widthOf(text: string): number {
  let columns = 0;
  for (const { segment } of SEGMENTER.segment(text)) columns += WIDE.test(segment) ? 2 : 1;
  return columns;
}

/** Text that takes at most so many columns, with "…" at its end where some is missing. */
export function cutText(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let shown = "";
  let room = columns - 1;
  for (const { segment } of SEGMENTER.segment(text)) {
    room -= widthOf(segment);
    if (room < 0) break;
    shown += segment;
  }
  return columns > 0 ? `${shown}…` : "";
}

const SEGMENTER = new Intl.Segmenter("en", { granularity: "grapheme" });
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|\ufe0f/u;
