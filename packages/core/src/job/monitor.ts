/** What early stopping watches, by the names that tfjs gives its logs. */

export type Monitored =
  /** The mean training loss of an epoch. */
  | { readonly of: "training" }
  /** A metric of the held-out rows. */
  | { readonly of: "held-out"; readonly metric: string };

/** "loss" is the training loss; "val_auc", "auc" and "val_loss" are of the held-out rows. */
export function monitoredOf(monitor: string): Monitored {
  if (monitor === "loss") return { of: "training" };
  return { of: "held-out", metric: monitor.startsWith("val_") ? monitor.slice("val_".length) : monitor };
}
