/**
 * Keeps tfjs's advertisement for its native backend out of a command's output: `volary doctor` says it better.
 * Delete this when tfjs has a switch for it that leaves its checks on (its PROD flag turns those off, too).
 */
const GREETING = "looks like you are running TensorFlow.js in Node.js";

/** Runs `body` while that one warning is dropped; every other is printed. */
export async function withoutGreeting<T>(body: () => Promise<T>): Promise<T> {
  const { warn } = console;
  console.warn = (...words: unknown[]) => {
    if (!String(words[0]).includes(GREETING)) warn(...words);
  };
  try {
    return await body();
  } finally {
    console.warn = warn;
  }
}
