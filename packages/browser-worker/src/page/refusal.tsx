/** @file Why a volunteer was not let in, in words that say what to do. */
import { TEXT } from "./text.ts";

export function Refusal({ code, message }: { code: string; message: string }) {
  return (
    <section class="card refusal" role="alert">
      <h1>{TEXT.refusedTitle}</h1>
      <p>{TEXT.refusal(code)}</p>
      <p class="note">
        {TEXT.refusedDetail(message)} <code>{code}</code>
      </p>
      <button type="button" class="button" onClick={() => location.reload()}>
        {TEXT.reload}
      </button>
    </section>
  );
}
