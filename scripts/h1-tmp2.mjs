import { bootstrap } from "./h1-tmp.mjs"; const t=performance.now(); await bootstrap(); console.log("ms", performance.now()-t);
