/** @file The limits that a volunteer sets, in force at once. */
import { MEGABYTES_MAX, SHARE_PERCENT, type Limits } from "./limits.ts";
import { tellsBattery } from "./surroundings.ts";
import { TEXT } from "./text.ts";

export interface LimitsFormProps {
  limits: Limits;
  /** Is it a job whose volunteers may connect to each other? */
  trusted: boolean;
  onChange: (limits: Limits) => void;
}

export function LimitsForm({ limits, trusted, onChange }: LimitsFormProps) {
  const change = (changed: Partial<Limits>) => onChange({ ...limits, ...changed });
  const check = (name: "mainsOnly" | "whileSeen" | "dataSaver" | "mayConnect", isDisabled = false) => (
    <label class="check">
      <input
        type="checkbox"
        checked={limits[name]}
        disabled={isDisabled}
        onChange={({ currentTarget }) => change({ [name]: currentTarget.checked })}
      />
      <span>{TEXT[name]}</span>
    </label>
  );
  return (
    <section class="card" aria-labelledby="limits">
      <h2 id="limits">{TEXT.limits}</h2>
      <div class="field">
        <label for="share">{TEXT.share}</label>
        <output for="share">{TEXT.shareValue(limits.sharePercent)}</output>
        <input
          id="share"
          type="range"
          {...SHARE_PERCENT}
          value={limits.sharePercent}
          aria-valuetext={TEXT.shareValue(limits.sharePercent)}
          onInput={({ currentTarget }) => change({ sharePercent: currentTarget.valueAsNumber })}
        />
      </div>
      {check("mainsOnly", !tellsBattery())}
      {tellsBattery() ? null : <p class="note">{TEXT.mainsUnknown}</p>}
      {check("whileSeen")}
      {check("dataSaver")}
      {trusted ? check("mayConnect") : null}
      {trusted ? <p class="note">{TEXT.mayConnectNote}</p> : null}
      <div class="field">
        <label for="megabytes">{TEXT.megabytes}</label>
        <input
          id="megabytes"
          type="number"
          inputMode="numeric"
          min={0}
          max={MEGABYTES_MAX}
          step={10}
          value={limits.megabytesMax}
          onInput={({ currentTarget: { valueAsNumber: megabytes } }) => {
            if (megabytes >= 0 && megabytes <= MEGABYTES_MAX) change({ megabytesMax: megabytes });
          }}
        />
      </div>
    </section>
  );
}
