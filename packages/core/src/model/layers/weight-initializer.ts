/**
 * First values of the weights of Volary's own layers, written as those of `tf.layers` are: by name, as what
 * `tf.initializers` makes, or read back from a topology. tfjs reads them so too, and exports no reader.
 */
import { serialization } from "@tensorflow/tfjs-core";
import { initializers } from "@tensorflow/tfjs-layers";
import { checkChoice } from "./author-error.ts";
import { seedFrom } from "./seed-from.ts";

/** What makes a weight's first value. */
export type WeightInitializer = ReturnType<typeof initializers.zeros>;

/** As in `tf.layers.dense({ kernelInitializer })`: a name, as "glorotNormal", or what `tf.initializers` makes. */
export type WeightInitializerArg = keyof typeof initializers | WeightInitializer;

/**
 * @param place names the option in errors
 * @throws {TypeError} no initializer
 */
export function weightInitializerFrom(place: string, given: WeightInitializerArg): WeightInitializer {
  if (typeof given === "string") {
    checkChoice(place, given, Object.keys(initializers));
    return fromJson({ className: given.charAt(0).toUpperCase() + given.slice(1), config: {} });
  }
  if (typeof given?.apply === "function") return given;
  if (isJson(given)) return fromJson(given);
  throw new TypeError(
    `${place} is ${JSON.stringify(given)}; give it a name, as "glorotNormal", or what tf.initializers makes`,
  );
}

/** What a layer's config holds of an initializer, so that a topology can carry it and give it a seed. */
export function weightInitializerJson(initializer: WeightInitializer): serialization.ConfigDict {
  return { className: initializer.getClassName(), config: initializer.getConfig() };
}

/**
 * The initializer for one of several weights that share it. Under one seed all would be drawn alike, so each draws
 * under a seed made of it and the weight's name.
 */
export function forWeight(initializer: WeightInitializer, weight: string): WeightInitializer {
  const config = initializer.getConfig();
  if (typeof config.seed !== "number") return initializer;
  const seed = seedFrom([config.seed, weight]);
  return fromJson({ className: initializer.getClassName(), config: { ...config, seed } });
}

interface InitializerJson {
  className: string;
  config: serialization.ConfigDict;
}

function isJson(given: unknown): given is InitializerJson {
  return typeof (given as InitializerJson | null)?.className === "string";
}

function fromJson({ className, config }: InitializerJson): WeightInitializer {
  const registered = serialization.SerializationMap.getMap().classNameMap[className];
  if (registered) return registered[1](registered[0], config) as WeightInitializer;
  throw new TypeError(
    `initializer "${className}" is unknown here; register a class of your own with tf.serialization.registerClass`,
  );
}
