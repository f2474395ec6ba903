import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-wasm";
import { defineJob, embedding, fm, input, manifestOf, through, TrainingModel } from "../core/src/model/index.ts";
await tf.setBackend(process.argv[2] ?? "wasm"); await tf.ready();
const B=2048,F=24;
const fields=Array.from({length:F},(_,f)=>`f${f}`);
const data:any={format:"parquet",file:{kind:"file",path:"x"},fields:Object.fromEntries(fields.map(f=>[f,{kind:"column",column:f}])),label:{kind:"column",column:"y"}};
const deep=(kind:string)=>defineJob({name:kind,data,model(){
  const ins=fields.map(name=>input({name,dtype:"string"}));
  const dim=kind==="lr"?1:16;
  const rows=ins.map((x,i)=>embedding({table:fields[i]!,dim}).apply(x));
  if(kind==="lr") return tfl.model({inputs:ins,outputs:through(rows,tfl.layers.add(),tfl.layers.activation({activation:"sigmoid"}))});
  const mlp=through(rows,tfl.layers.concatenate(),tfl.layers.dense({units:64,activation:"relu"}),tfl.layers.dense({units:32,activation:"relu"}),tfl.layers.dense({units:1}));
  if(kind==="deepfm"){ const lin=ins.map((x,i)=>embedding({table:fields[i]+"lr",dim:1}).apply(x)); return tfl.model({inputs:ins,outputs:through([mlp,through(rows,fm()),through(lin,tfl.layers.add())],tfl.layers.add(),tfl.layers.activation({activation:"sigmoid"}))});}
  return tfl.model({inputs:ins,outputs:through(kind==="mlp"?mlp:[mlp,through(rows,fm())] as any,...(kind==="mlp"?[]:[tfl.layers.add()]),tfl.layers.activation({activation:"sigmoid"}))});
},compile:{optimizer:"adam",loss:"binaryCrossentropy"},fit:{batchSize:4096}});
for(const kind of ["lr","mlp","fm+mlp","deepfm"]){
 const {manifest,denseWeights}=await manifestOf(deep(kind),{workersMin:1});
 const m=await TrainingModel.create(manifest.model,"binaryCrossentropy");
 m.setDense(denseWeights);
 const E=manifest.model.embeddings.reduce((a,e)=>a+e.dim,0);
 const rows=Float32Array.from({length:B*E},()=>Math.random()-.5),label=Float32Array.from({length:B},()=>+(Math.random()<.2));
 const t:number[]=[],s:number[]=[],p:number[]=[];let r:any;
 const n0=tf.memory().numTensors;
 for(let i=0;i<40;i++){ let a=performance.now(); r=await m.step({rows,numbers:new Float32Array(0),label,samples:B,globalSamples:B}); t.push(performance.now()-a); a=performance.now(); m.setDense(denseWeights); s.push(performance.now()-a); a=performance.now(); await m.predict({rows,numbers:new Float32Array(0),samples:B}); p.push(performance.now()-a);}
 const q=(x:number[])=>{const y=x.slice(5).sort((a,b)=>a-b);return `p50 ${y[y.length>>1]!.toFixed(1)} p95 ${y[Math.floor(y.length*.95)]!.toFixed(1)}`};
 console.log(kind,"vars",m.denseFloats,"step",q(t),"setDense",q(s),"predict",q(p),"loss",r.lossSum/B,"tensors",n0,tf.memory().numTensors);
 if(process.argv[3]){const pr=await tf.profile(()=>m.step({rows,numbers:new Float32Array(0),label,samples:B,globalSamples:B}) as any); const by=new Map<string,number[]>(); for(const k of pr.kernels){ const ms=await k.kernelTimeMs; const e=by.get(k.name)??[0,0]; e[0]!+=1; e[1]!+=ms as number; by.set(k.name,e);} console.table([...by].map(([k,[n,ms]])=>({k,n,ms:+(ms as number).toFixed(2)})).sort((a,b)=>b.ms-a.ms).slice(0,14));}
 m.dispose();
}
