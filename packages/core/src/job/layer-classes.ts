/**
 * Classes that a topology may name and every worker has, in Node and in browsers: those of TensorFlow.js and Volary's own.
 * A class that an author registered is only where its plugin file was loaded.
 */

const TFJS = `
  Model Functional Sequential InputLayer
  Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal Identity VarianceScaling GlorotUniform GlorotNormal
  HeNormal HeUniform LeCunNormal LeCunUniform Orthogonal
  MaxNorm UnitNorm NonNeg MinMaxNorm L1L2
  elu selu relu relu6 linear sigmoid hardSigmoid softplus softsign tanh softmax logSoftmax gelu gelu_new mish swish
  ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax
  Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose SeparableConv2D DepthwiseConv2D Cropping2D UpSampling2D
  RNN SimpleRNNCell SimpleRNN GRUCell GRU LSTMCell LSTM StackedRNNCells ConvLSTM2DCell ConvLSTM2D
  Dropout SpatialDropout1D GaussianNoise GaussianDropout AlphaDropout
  Dense Flatten Activation RepeatVector Reshape Permute Masking Embedding
  Add Multiply Average Maximum Minimum Concatenate Dot
  BatchNormalization LayerNormalization ZeroPadding2D
  MaxPooling1D AveragePooling1D MaxPooling2D AveragePooling2D MaxPooling3D AveragePooling3D
  GlobalAveragePooling1D GlobalMaxPooling1D GlobalAveragePooling2D GlobalMaxPooling2D
  TimeDistributed Bidirectional Rescaling CenterCrop CategoryEncoding Resizing RandomWidth`;
const VOLARY = `
  VolaryEmbedding VolaryFm VolaryCrossNet VolaryPairwiseDot VolaryAttentionPooling VolarySequencePooling`;

export const layerClasses = (): Set<string> => new Set(`${TFJS} ${VOLARY}`.trim().split(/\s+/));

/** The first class that a topology names and not every worker has, wherever in it. */
export function foreignClassOf(topology: unknown, known = layerClasses()): string | undefined {
  if (typeof topology !== "object" || topology === null) return undefined;
  const name: unknown = "class_name" in topology ? topology.class_name : undefined;
  if (typeof name === "string" && !known.has(name)) return name;
  for (const part of Object.values(topology)) {
    const found = foreignClassOf(part, known);
    if (found !== undefined) return found;
  }
  return undefined;
}
