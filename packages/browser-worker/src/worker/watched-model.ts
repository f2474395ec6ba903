/**
 * A model on a device that may be lost while it computes. A lost WebGL context may give zeros without an error, so
 * nothing is believed before the device was asked; its worker leaves, and the others take the step again without it.
 */
import type { GradientModel } from "@volary/core/training";
import type { OpenDevice } from "../device/device.ts";

/**
 * The same model, made to call `leave` before it hands out, or fails with, anything of a lost device.
 *
 * @param leave must make the caller of the model drop what it then gets
 */
export function watchedModel(
  model: GradientModel,
  { device, leave }: { device: OpenDevice; leave: (reason: string) => void },
): GradientModel {
  const watched = async <T>(result: Promise<T>): Promise<T> => {
    try {
      return await result;
    } finally {
      const reason = device.lost();
      if (reason !== undefined) leave(reason);
    }
  };
  return {
    denseFloats: model.denseFloats,
    setDense: (flat) => model.setDense(flat),
    step: (at) => watched(model.step(at)),
    predict: (at) => watched(model.predict(at)),
    dispose: () => model.dispose(),
  };
}
