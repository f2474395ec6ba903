export { openJobDevice, probeUsual, type JobDevice } from "./job-device.ts";
export { parityOf, type Parity, type TrialGradients } from "./parity.ts";
export { fastestOf, PARITY_MAX, probe, type DeviceReport } from "./probe.ts";
export { STANDARD_JOBS, standardJob, type StandardJob } from "./standard-jobs.ts";
export { trialInput, trialWeights, type TrialJob } from "./trial-job.ts";
