import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { expect, it } from "vitest";
import { trainingModelContract } from "../../core/src/model/training-model.contract.ts";
import { quickenWasmMatMul } from "../../core/src/model/wasm-matmul.ts";
trainingModelContract(async () => { await tf.setBackend("wasm"); await tf.ready(); });
it("matmul equals", async () => {
  await tf.setBackend("wasm");
  for (const patch of [0, 1]) { if (patch) { quickenWasmMatMul(); quickenWasmMatMul(); }
  for (const [m,k,n] of [[3,5,2],[40,7,3],[2,3,50],[1,4,1]] as const) for (const ta of [false,true]) for (const tb of [false,true]) for (const rank of [2,3]) {
    const n0 = tf.memory();
    tf.tidy(() => {
      const pre = rank===3?[1]:[];
      const a = tf.randomNormal([...pre, ...(ta?[k,m]:[m,k])] as any), b = tf.randomNormal([...pre, ...(tb?[n,k]:[k,n])] as any);
      const got = (tf.matMul(a as any,b as any,ta,tb) as tf.Tensor); const A=a.dataSync(),Bv=b.dataSync(); const g=got.dataSync();
      expect(got.shape).toEqual([...pre,m,n]);
      for(let i=0;i<m;i++)for(let j=0;j<n;j++){let s=0;for(let q=0;q<k;q++)s+=A[ta?q*m+i:i*k+q]!*Bv[tb?j*k+q:q*n+j]!;expect(g[i*n+j]).toBeCloseTo(s,4);}
    });
    expect(tf.memory().numTensors).toBe(n0.numTensors);
    expect((tf.memory() as any).numBytes).toBe((n0 as any).numBytes);
  } }
  const backend = tf.backend() as any; const before = backend.numDataIds(); tf.tidy(()=>{tf.matMul(tf.ones([30,4]),tf.ones([30,5]),true,false);}); expect(backend.numDataIds()).toBe(before);
});
