// Write the script of the page /demo/, one module with all that it needs: node scripts/demo.mjs FILE

import { build } from "esbuild";

await build({
  entryPoints: ["demo/app.ts"],
  outfile: process.argv[2],
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: {
    js:
      "// Made of clients/typescript by npm run demo. Change its source instead.\n" +
      "// Has in it openapi-fetch 0.17.0, Copyright (c) 2023 Drew Powers, MIT licence.",
  },
});
