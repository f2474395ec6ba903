/** A plugin file of four server updates: what a push does to a row. Each PS node loads its own copy of this very file. */
import { serverUpdate } from "@volary/core/optimizer";

/** In how many pushes each component of a row was not 0: of words and topics, in how many documents. */
export const count = serverUpdate({
  name: "count",
  update({ weights, gradient }) {
    for (const [i, value] of gradient.entries()) if (value !== 0) weights[i]! += 1;
  },
});

/** Everything that was pushed. */
export const sum = serverUpdate({
  name: "sum",
  update({ weights, gradient }) {
    for (const [i, value] of gradient.entries()) weights[i]! += value;
  },
});

/** The greatest value that was pushed, or the row's first value if that is greater. */
export const max = serverUpdate({
  name: "max",
  update({ weights, gradient }) {
    for (const [i, value] of gradient.entries()) weights[i] = Math.max(weights[i]!, value);
  },
});

/** SGD with momentum, each row's gradient cut to a length: one broken sample moves a row by no more than that. */
export const clippedSgd = serverUpdate({
  name: "clippedSgd",
  options: { learningRate: 0.1, length: 1, momentum: 0 },
  stateWidth: (dim) => dim,
  update({ weights, state, gradient, options: { learningRate, length, momentum } }) {
    const scale = Math.min(1, length / Math.hypot(...gradient));
    for (const [i, value] of gradient.entries()) {
      state[i] = momentum * state[i]! + scale * value;
      weights[i]! -= learningRate * state[i];
    }
  },
});
